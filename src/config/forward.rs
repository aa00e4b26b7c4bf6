//! The keys of `forward.otlp`: where everything is passed on to.

use std::net::{IpAddr, SocketAddr};

use super::Reader;
use crate::{
    forward::{Compression, Options, Protocol},
    journal::Durability,
};

const ENDPOINT: &str = "forward.otlp.endpoint";
const HEADERS: &str = "forward.otlp.headers";

impl Reader<'_> {
    pub(super) fn forward(&mut self) -> Option<Options> {
        let endpoint = self.setting(ENDPOINT)?.text.clone();
        let headers = self.pairs(HEADERS);
        for (name, value) in &headers {
            let sound = http::HeaderName::try_from(name).is_ok()
                && http::HeaderValue::try_from(value).is_ok();
            if !sound {
                self.wrong(
                    HEADERS,
                    format!("has {name:?}, which is no header with a value"),
                );
            }
        }
        for key in ["receivers.otlp.grpc.listen", "receivers.otlp.http.listen"] {
            if leads_to(&endpoint, self.address(key)) {
                self.wrong(
                    ENDPOINT,
                    format!("is this lapwing's own `{key}`: everything would come back for ever"),
                );
            }
        }
        if self.text("journal.durability").parse() == Ok(Durability::Memory) {
            self.wrong(
                ENDPOINT,
                "needs a journal on disk: set `journal.durability` to disk or os",
            );
        }
        Some(Options {
            endpoint,
            protocol: match self.text("forward.otlp.protocol") {
                "http/protobuf" => Protocol::HttpProtobuf,
                _ => Protocol::Grpc,
            },
            headers,
            compression: match self.text("forward.otlp.compression") {
                "none" => Compression::None,
                _ => Compression::Gzip,
            },
            timeout: self.duration("forward.otlp.timeout"),
        })
    }

    fn pairs(&self, path: &str) -> Vec<(String, String)> {
        let items = self.items(path);
        let pairs = items.iter().filter_map(|item| item.split_once('='));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

/// Is this endpoint the listener on this machine? Names other than `localhost` and this host's own
/// are not looked up.
fn leads_to(endpoint: &str, listener: SocketAddr) -> bool {
    let Ok(url) = reqwest::Url::parse(endpoint) else {
        return false;
    };
    if listener.port() == 0 || url.port_or_known_default() != Some(listener.port()) {
        return false;
    }
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let is_local = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
    match host.parse::<IpAddr>() {
        Ok(address) => address == listener.ip() || (is_local(address) && is_local(listener.ip())),
        Err(_) if host == "localhost" => is_local(listener.ip()),
        Err(_) => host.eq_ignore_ascii_case(own.trim()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_of_our_own_is_known() {
        let all = SocketAddr::from(([0, 0, 0, 0], 4317));
        for (endpoint, own) in [
            ("http://localhost:4317", true),
            ("http://127.0.0.1:4317/", true),
            ("https://[::1]:4317", true),
            ("http://localhost:4318", false),
            ("http://otel-collector:4317", false),
            ("http://10.0.0.9:4317", false),
        ] {
            assert_eq!(leads_to(endpoint, all), own, "{endpoint}");
        }
        let one = SocketAddr::from(([10, 0, 0, 9], 4317));
        assert!(leads_to("http://10.0.0.9:4317", one));
    }
}
