//! The receivers, asked as a client asks: an export request without anything in it.

use std::time::Duration;

use bytes::Bytes;

use super::{Findings, admin::here};
use crate::{
    config::Config,
    forward::{Compression, Options, Outcome, Protocol, Sender, Signal},
};

const TIMEOUT: Duration = Duration::from_secs(5);

/// Is at least one of them there?
pub(super) async fn look(config: &Config, findings: &mut Findings) -> bool {
    let mut any = false;
    for (protocol, about, key) in [
        (Protocol::Grpc, "OTLP/gRPC", "receivers.otlp.grpc.listen"),
        (
            Protocol::HttpProtobuf,
            "OTLP/HTTP",
            "receivers.otlp.http.listen",
        ),
    ] {
        let endpoint = endpoint(config, protocol);
        match export(config, protocol, Bytes::new()).await {
            Outcome::Accepted { .. } => {
                any = true;
                findings.good(about, &format!("takes requests at {endpoint}"));
            }
            Outcome::Retry { reason, .. } => findings.wrong_because(
                about,
                &format!("{endpoint} (`{key}`) takes nothing: {reason}"),
                "is the collector running with this configuration? If it is, see `journal` and `refused`",
            ),
            Outcome::Held { reason } | Outcome::Refused { reason } => findings.wrong_because(
                about,
                &format!("{endpoint} (`{key}`) refuses: {reason}"),
                "somebody else may have the port (ss -ltnp), or the tokens of `receivers.otlp.auth.bearer_tokens_file` are newer than the collector",
            ),
        }
    }
    any
}

/// Sends a request to the receiver of this protocol, with a token if there has to be one.
pub(super) async fn export(config: &Config, protocol: Protocol, request: Bytes) -> Outcome {
    let token = config.bearer_tokens.first();
    let headers = token.map(|token| {
        let value = format!("Bearer {}", token.reveal());
        ("authorization".to_owned(), value)
    });
    let options = Options {
        endpoint: endpoint(config, protocol),
        protocol,
        headers: headers.into_iter().collect(),
        compression: Compression::None,
        timeout: TIMEOUT,
    };
    match Sender::new(&options) {
        Ok(sender) => sender.send(Signal::Traces, request).await,
        Err(error) => Outcome::Refused {
            reason: error.to_string(),
        },
    }
}

fn endpoint(config: &Config, protocol: Protocol) -> String {
    let listen = match protocol {
        Protocol::Grpc => config.grpc.listen,
        Protocol::HttpProtobuf => config.http.listen,
    };
    format!("http://{}", here(listen))
}
