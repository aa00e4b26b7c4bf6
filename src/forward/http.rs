//! OTLP/HTTP with protobuf.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{
    Client, StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue},
    redirect,
};

use super::{
    Compression, Options, Signal,
    send::{Outcome, SetupError, accepted, packed},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Characters of a refusal's text that are told.
const REASON_CHARS_MAX: usize = 300;

#[derive(Debug)]
pub struct Http {
    client: Client,
    base: String,
    compression: Compression,
}

// === impl Http ===

impl Http {
    pub fn new(options: &Options) -> Result<Http, SetupError> {
        let client = Client::builder()
            .user_agent(concat!("lapwing/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers(&options.headers)?)
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(options.timeout)
            .build()
            .map_err(|error| SetupError::Endpoint(error.to_string()))?;
        Ok(Http {
            client,
            base: options.endpoint.trim_end_matches('/').to_owned(),
            compression: options.compression,
        })
    }

    pub async fn send(&self, signal: Signal, request: Bytes) -> Outcome {
        let url = format!("{}{}", self.base, signal.http_path());
        let mut post = self
            .client
            .post(url)
            .header("content-type", "application/x-protobuf");
        if self.compression == Compression::Gzip {
            post = post.header("content-encoding", "gzip");
        }
        let answer = match post.body(packed(&request, self.compression)).send().await {
            Ok(answer) => answer,
            Err(error) => {
                return Outcome::Retry {
                    reason: words(&error),
                    after: None,
                };
            }
        };
        let status = answer.status();
        let after = retry_after(answer.headers());
        let body = answer.bytes().await.unwrap_or_default();
        if status.is_success() {
            return accepted(&body);
        }
        let reason = format!("HTTP {status}: {}", said(&body));
        match status {
            StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Outcome::Retry { reason, after },
            StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::PROXY_AUTHENTICATION_REQUIRED => Outcome::Held { reason },
            status if status.is_redirection() => Outcome::Held { reason },
            _ => Outcome::Refused { reason },
        }
    }
}

/// The user's headers, checked.
pub fn headers(pairs: &[(String, String)]) -> Result<HeaderMap, SetupError> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let wrong = || SetupError::Header(name.clone());
        let key = HeaderName::try_from(name.as_str()).map_err(|_| wrong())?;
        let mut value = HeaderValue::try_from(value.as_str()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

/// In seconds; a date is as good as nothing.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get("retry-after")?.to_str().ok()?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

/// What the target wrote: text, or a `google.rpc.Status` whose second field is text.
fn said(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let clean = text.chars().filter(|c| !c.is_control() && *c != '\u{fffd}');
    clean.take(REASON_CHARS_MAX).collect()
}

/// The error and what is behind it, without the URL.
fn words(error: &reqwest::Error) -> String {
    let mut words = match error {
        error if error.is_timeout() => "no answer in time".to_owned(),
        error if error.is_connect() => "cannot connect".to_owned(),
        _ => "the request failed".to_owned(),
    };
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}
