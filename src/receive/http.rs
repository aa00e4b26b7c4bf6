//! OTLP over HTTP/1.1 and HTTP/2: paths, media types, and a `google.rpc.Status` in every refusal.
//!
//! Only 429, 502, 503 and 504 are retried by clients, so a passing trouble is always a 503 and
//! a 500 is never sent.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{self, HeaderName},
};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::{
    Encoding, HttpOptions, Ingest, Payload, Reason, ReceiveError, Refusal, Signal, Transport,
    answer::{self, Detail},
    body::{BodyError, Guarded},
    connections::{self, Versions},
    inflate::{Compression, inflate},
};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
const PREFLIGHT_MAX_AGE: &str = "7200";

/// A refusal in the words of HTTP.
struct Problem {
    status: StatusCode,
    code: Code,
    reason: Reason,
    message: String,
    detail: Detail,
    header: Option<(HeaderName, HeaderValue)>,
}

/// Serves OTLP/HTTP on `listener` until `shutdown`.
pub async fn serve_http<I: Ingest>(
    listener: TcpListener,
    options: HttpOptions,
    ingest: Arc<I>,
    shutdown: CancellationToken,
) -> Result<(), ReceiveError> {
    let options = Arc::new(options);
    let shared = Arc::clone(&options);
    let handle = move |request| {
        let (options, ingest) = (Arc::clone(&shared), Arc::clone(&ingest));
        async move { answer_request(request, &options, &*ingest).await }
    };
    connections::serve(
        listener,
        &options.serve,
        Versions::Http1And2,
        handle,
        shutdown,
    )
    .await
}

async fn answer_request<I: Ingest>(
    request: Request<Incoming>,
    options: &HttpOptions,
    ingest: &I,
) -> Response<Full<Bytes>> {
    let origin = allowed_origin(request.headers(), options);
    let mut response = match &origin {
        Some(_) if request.method() == Method::OPTIONS => preflight(request.headers()),
        _ => {
            let signal = signal(request.uri().path());
            let encoding = encoding(request.headers());
            let written = encoding.unwrap_or(Encoding::Json);
            match export(request, signal, encoding, options, ingest).await {
                Ok(body) => write(StatusCode::OK, written, body),
                Err(problem) => {
                    options
                        .serve
                        .stats
                        .refuse(Transport::Http, signal, problem.reason);
                    problem.into_response(written)
                }
            }
        }
    };
    if let Some(origin) = origin {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    }
    response
}

async fn export<I: Ingest>(
    request: Request<Incoming>,
    signal: Option<Signal>,
    encoding: Option<Encoding>,
    options: &HttpOptions,
    ingest: &I,
) -> Result<Bytes, Problem> {
    let serve = &options.serve;
    if !serve.tokens.allow(request.headers()) {
        return Err(unauthenticated());
    }
    let signal = signal.ok_or_else(|| not_found(request.uri().path()))?;
    if request.method() != Method::POST {
        return Err(wrong_method());
    }
    let encoding = encoding.ok_or_else(unsupported_media_type)?;
    let compression = compression(request.headers())?;
    let permit = serve.admission.permit();
    let busy_after = serve.retry_after;
    let problem = |error: BodyError| Problem::of_body(&error, busy_after);
    let body = Guarded::new(
        request.into_body(),
        Arc::clone(&permit),
        serve.message_bytes_max,
        serve.body_timeout,
    )
    .map_err(problem)?;
    let body = body.collect().await.map_err(problem)?.to_bytes();
    let body = match compression {
        Some(compression) if !body.is_empty() => {
            let held = Arc::clone(&permit);
            inflate(compression, body, serve.message_bytes_max, held)
                .await
                .map_err(problem)?
        }
        _ => body,
    };
    let bytes = body.len();
    // Nothing was sent: nothing to store, in JSON too, where no bytes are no document.
    let receipt = if body.is_empty() {
        super::Receipt::default()
    } else {
        let payload = Payload {
            signal,
            encoding,
            body,
        };
        ingest.ingest(payload).await.map_err(Problem::of_refusal)?
    };
    serve.stats.accept(Transport::Http, signal, bytes);
    Ok(answer::success(signal, encoding, &receipt))
}

fn signal(path: &str) -> Option<Signal> {
    match path {
        "/v1/traces" => Some(Signal::Traces),
        "/v1/logs" => Some(Signal::Logs),
        "/v1/metrics" => Some(Signal::Metrics),
        _ => None,
    }
}

fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let media_type = value.split(';').next()?.trim();
    if media_type.eq_ignore_ascii_case(PROTOBUF) {
        Some(Encoding::Protobuf)
    } else if media_type.eq_ignore_ascii_case(JSON) {
        Some(Encoding::Json)
    } else {
        None
    }
}

fn compression(headers: &HeaderMap) -> Result<Option<Compression>, Problem> {
    let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
    let parsed = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => value.to_str().map_err(|_| ()).and_then(Compression::parse),
        (Some(_), Some(_)) => Err(()),
    };
    parsed.map_err(|()| {
        let message = "this Content-Encoding is not supported; use gzip, zstd, deflate or none";
        Problem {
            detail: Detail::BadRequest,
            ..Problem::new(400, Code::InvalidArgument, Reason::Unsupported, message)
        }
    })
}

fn allowed_origin(headers: &HeaderMap, options: &HttpOptions) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    let known = |allowed: &String| allowed.as_bytes() == origin.as_bytes();
    options
        .allowed_origins
        .iter()
        .any(known)
        .then(|| origin.clone())
}

fn preflight(asked: &HeaderMap) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    let post = HeaderValue::from_static("POST");
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, post);
    let age = HeaderValue::from_static(PREFLIGHT_MAX_AGE);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, age);
    // The origin is trusted by configuration: whichever headers its exporter sends are fine.
    if let Some(wanted) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    response
}

fn write(status: StatusCode, encoding: Encoding, body: Bytes) -> Response<Full<Bytes>> {
    let media_type = match encoding {
        Encoding::Protobuf => PROTOBUF,
        Encoding::Json => JSON,
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let media_type = HeaderValue::from_static(media_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    response
}

fn unauthenticated() -> Problem {
    let message = "send a valid bearer token in the Authorization header";
    Problem {
        header: Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
        ..Problem::new(401, Code::Unauthenticated, Reason::Unauthenticated, message)
    }
}

fn not_found(path: &str) -> Problem {
    let message = if path.starts_with("/v1development/profiles") {
        "profiles are not supported; send traces, logs or metrics"
    } else {
        "nothing is served here; did you mean /v1/traces? (also /v1/logs, /v1/metrics)"
    };
    Problem::new(404, Code::Unimplemented, Reason::Unsupported, message)
}

fn wrong_method() -> Problem {
    let message = "method not allowed; use POST";
    Problem {
        header: Some((header::ALLOW, HeaderValue::from_static("POST"))),
        ..Problem::new(405, Code::Unimplemented, Reason::Unsupported, message)
    }
}

fn unsupported_media_type() -> Problem {
    let message = "unsupported Content-Type; use application/x-protobuf or application/json";
    Problem::new(415, Code::InvalidArgument, Reason::Unsupported, message)
}

impl Problem {
    fn new(status: u16, code: Code, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST),
            code,
            reason,
            message: message.into(),
            detail: Detail::None,
            header: None,
        }
    }

    fn busy(message: String, retry_after: Duration) -> Self {
        // Whole seconds, rounded up; 0 would be "at once".
        let rounded = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
        Self {
            detail: Detail::Retry(retry_after),
            header: Some((header::RETRY_AFTER, HeaderValue::from(rounded.max(1)))),
            ..Self::new(503, Code::Unavailable, Reason::Busy, message)
        }
    }

    fn invalid(message: String) -> Self {
        Self {
            detail: Detail::BadRequest,
            ..Self::new(400, Code::InvalidArgument, Reason::Invalid, message)
        }
    }

    fn of_refusal(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid { message } => Self::invalid(message),
            Refusal::Busy {
                message,
                retry_after,
            } => Self::busy(message, retry_after),
        }
    }

    fn of_body(error: &BodyError, retry_after: Duration) -> Self {
        let message = error.to_string();
        match error {
            BodyError::TooLarge { .. } => {
                Self::new(413, Code::ResourceExhausted, Reason::TooLarge, message)
            }
            BodyError::Busy => Self::busy(message, retry_after),
            // Not 408, which the OTLP specification does not count among what is sent again.
            BodyError::Slow { .. } => Self {
                reason: Reason::Slow,
                ..Self::busy(message, retry_after)
            },
            BodyError::Garbage { .. } | BodyError::Broken { .. } => Self::invalid(message),
        }
    }

    fn into_response(self, encoding: Encoding) -> Response<Full<Bytes>> {
        let body = answer::status(encoding, self.code as i32, &self.message, self.detail);
        let mut response = write(self.status, encoding, body);
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}
