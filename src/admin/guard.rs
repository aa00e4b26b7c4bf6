//! Guard: who may ask the admin port for what, before anything is looked up.
//!
//! A browser on this machine or in its network also runs other people's pages. What they could send:
//! a form to our address (no JSON), or any request under a name of theirs that they let point to us
//! (a foreign `Host`). Neither gets through. What changes something wants a token as well, when one
//! is configured, and must have one when the port is open to the network.
//!
//! Health and metrics are answered to everybody: probes and scrapers ask under any name.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::json;

/// Paths that show nothing of anybody.
const OPEN_TO_ALL: [&str; 4] = ["/livez", "/healthz", "/readyz", "/metrics"];

/// Do these headers carry the token?
pub type HasToken = Arc<dyn Fn(&HeaderMap) -> bool + Send + Sync>;

/// What the configuration says about the admin port.
#[derive(Clone)]
pub struct Guard {
    is_local: bool,
    /// Names beside addresses and `localhost`, in lower case.
    hosts: Vec<String>,
    /// `None`: no token is configured.
    has_token: Option<HasToken>,
}

/// Why a request is not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error(
        "this port is not known as {0:?}: ask it by its address, or add the name to `admin.hosts`"
    )]
    Host(String),
    #[error("send JSON with content-type: application/json")]
    NotJson,
    #[error(
        "this port is open to the network and has no token, so nothing can be changed through it: set \
         `admin.bearer_token_file`, or `admin.listen` to an address of this machine such as 127.0.0.1:4319"
    )]
    NoToken,
    #[error("send the token of `admin.bearer_token_file` as `authorization: Bearer ...`")]
    WrongToken,
}

/// Lets a request through, or says why not.
pub async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.judge(request.method(), request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

// === impl Guard ===

impl Guard {
    /// For a port that listens at `listen`; `hosts` are further names of it.
    pub fn new(
        listen: SocketAddr,
        hosts: impl IntoIterator<Item = String>,
        has_token: Option<HasToken>,
    ) -> Guard {
        Guard {
            is_local: listen.ip().is_loopback(),
            hosts: hosts.into_iter().map(|h| h.to_lowercase()).collect(),
            has_token,
        }
    }

    fn judge(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Refused> {
        let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        if reads && OPEN_TO_ALL.contains(&uri.path()) {
            return Ok(());
        }
        // HTTP/2 names the host in the address. A browser always sends one.
        let host = headers.get(header::HOST).map(|v| v.to_str().unwrap_or("?"));
        if let Some(host) = uri.authority().map(|a| a.as_str()).or(host)
            && !self.knows(host)
        {
            return Err(Refused::Host(host.chars().take(100).collect()));
        }
        if reads {
            return Ok(());
        }
        if !is_json(headers) {
            return Err(Refused::NotJson);
        }
        match &self.has_token {
            Some(has_token) if has_token(headers) => Ok(()),
            Some(_) => Err(Refused::WrongToken),
            None if self.is_local => Ok(()),
            None => Err(Refused::NoToken),
        }
    }

    /// Is it an address, this machine, or a name that the operator gave?
    fn knows(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        let address = name
            .strip_prefix('[')
            .and_then(|n| n.strip_suffix(']'))
            .unwrap_or(name);
        let name = name.to_lowercase();
        address.parse::<IpAddr>().is_ok()
            || name == "localhost"
            || name.ends_with(".localhost")
            || self.hosts.contains(&name)
    }
}

/// A form of a foreign page cannot say so, nor a script of one without asking first.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim() == "application/json"
}

// === impl Refused ===

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match self {
            Refused::Host(_) => StatusCode::MISDIRECTED_REQUEST,
            Refused::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Refused::NoToken => StatusCode::FORBIDDEN,
            Refused::WrongToken => StatusCode::UNAUTHORIZED,
        };
        let body = json!({"error": self.to_string()}).to_string();
        let json = [(header::CONTENT_TYPE, "application/json")];
        match self {
            Refused::WrongToken => {
                let asks = [(header::WWW_AUTHENTICATE, "Bearer")];
                (status, json, asks, body).into_response()
            }
            _ => (status, json, body).into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: (&str, &str) = ("content-type", "application/json");

    fn local() -> Guard {
        let listen = SocketAddr::from(([127, 0, 0, 1], 4319));
        Guard::new(listen, ["Lapwing.Example".to_owned()], None)
    }

    fn open(token: Option<&'static str>) -> Guard {
        let has_token = |token| -> HasToken {
            Arc::new(move |headers| headers.get("authorization").is_some_and(|v| v == token))
        };
        Guard::new(
            SocketAddr::from(([0, 0, 0, 0], 4319)),
            [],
            token.map(has_token),
        )
    }

    fn judged(
        guard: &Guard,
        method: Method,
        headers: &[(&'static str, &str)],
    ) -> Result<(), Refused> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().expect("a value"));
        }
        guard.judge(&method, &Uri::from_static("/api/v1/silences"), &map)
    }

    #[test]
    fn names_that_somebody_else_lets_point_here_are_not_answered() {
        for host in [
            "127.0.0.1:4319",
            "localhost:4319",
            "[::1]:4319",
            "10.0.0.7",
            "lapwing.example",
        ] {
            assert_eq!(
                judged(&local(), Method::GET, &[("host", host)]),
                Ok(()),
                "{host}"
            );
        }
        for host in [
            "evil.example:4319",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "x",
        ] {
            let refused = judged(&local(), Method::GET, &[("host", host)]);
            assert_eq!(refused, Err(Refused::Host(host.to_owned())));
        }
        let probe = local().judge(
            &Method::GET,
            &Uri::from_static("/metrics"),
            &HeaderMap::from_iter([(
                header::HOST,
                "lapwing.monitoring.svc".parse().expect("a name"),
            )]),
        );
        assert_eq!(probe, Ok(()), "scrapers ask under any name");
    }

    #[test]
    fn what_changes_something_is_json() {
        let host = ("host", "127.0.0.1:4319");
        for method in [Method::POST, Method::DELETE, Method::PUT] {
            let form = ("content-type", "application/x-www-form-urlencoded");
            for headers in [vec![host], vec![host, form]] {
                assert_eq!(
                    judged(&local(), method.clone(), &headers),
                    Err(Refused::NotJson)
                );
            }
            assert_eq!(judged(&local(), method, &[host, JSON]), Ok(()));
        }
    }

    #[test]
    fn a_port_that_is_open_to_the_network_changes_nothing_without_a_token() {
        let host = ("host", "10.0.0.7:4319");
        let right = ("authorization", "Bearer s3cret");
        let wrong = ("authorization", "Bearer guess");
        assert_eq!(judged(&open(None), Method::GET, &[host]), Ok(()));
        assert_eq!(
            judged(&open(None), Method::POST, &[host, JSON, right]),
            Err(Refused::NoToken)
        );
        let guard = open(Some("Bearer s3cret"));
        assert_eq!(judged(&guard, Method::POST, &[host, JSON, right]), Ok(()));
        for headers in [vec![host, JSON], vec![host, JSON, wrong]] {
            assert_eq!(
                judged(&guard, Method::POST, &headers),
                Err(Refused::WrongToken)
            );
        }
    }
}
