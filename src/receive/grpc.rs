//! OTLP over gRPC: one message in, one out, passed on as bytes.
//!
//! HTTP/2 is hyper's, codes and details are tonic's; the frame around the message is read here, so
//! that what a message inflates to is limited and admitted the same way on both transports.
//!
//! Every failure leaves here with a code whose retry meaning the OTLP specification defines.
//! Methods we do not know, OTel Arrow among them, are UNIMPLEMENTED, so that clients fall back.

use std::{sync::Arc, time::Duration};

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, body::Body, metadata::MetadataValue};

use super::{
    Encoding, GrpcOptions, Ingest, Payload, Reason, ReceiveError, Refusal, ServeOptions, Signal,
    Transport,
    answer::{self, Detail},
    body::{BodyError, Guarded},
    connections::{self, Versions},
    inflate::{Compression, inflate},
};

/// Flag and length before each message.
const FRAME_HEADER_BYTES: usize = 5;
const GRPC_ENCODING: &str = "grpc-encoding";
const GRPC_ACCEPT_ENCODING: &str = "grpc-accept-encoding";
const ACCEPTED_ENCODINGS: &str = "gzip,zstd,deflate,identity";
const PREFIX: &str = "/opentelemetry.proto.collector.";

/// Serves OTLP/gRPC on `listener` until `shutdown`.
pub async fn serve_grpc<I: Ingest>(
    listener: TcpListener,
    options: GrpcOptions,
    ingest: Arc<I>,
    shutdown: CancellationToken,
) -> Result<(), ReceiveError> {
    let options = Arc::new(options);
    let shared = Arc::clone(&options);
    let handle = move |request| {
        let (options, ingest) = (Arc::clone(&shared), Arc::clone(&ingest));
        async move { export(request, &options, ingest).await }
    };
    connections::serve(listener, &options.serve, Versions::Http2, handle, shutdown).await
}

fn signal(path: &str) -> Option<Signal> {
    match path.strip_prefix(PREFIX)? {
        "trace.v1.TraceService/Export" => Some(Signal::Traces),
        "logs.v1.LogsService/Export" => Some(Signal::Logs),
        "metrics.v1.MetricsService/Export" => Some(Signal::Metrics),
        _ => None,
    }
}

async fn export<I: Ingest>(
    request: Request<Incoming>,
    options: &Arc<GrpcOptions>,
    ingest: Arc<I>,
) -> http::Response<Body> {
    let serve = &options.serve;
    let refuse = |signal, reason, status: Status| {
        serve.stats.refuse(Transport::Grpc, signal, reason);
        status.into_http()
    };
    if !serve.tokens.allow(request.headers()) {
        let status = Status::unauthenticated("send a valid bearer token in authorization");
        return refuse(None, Reason::Unauthenticated, status);
    }
    let Some(signal) = signal(request.uri().path()) else {
        let status = Status::unimplemented("this method is not served; send OTLP");
        return refuse(None, Reason::Unsupported, status);
    };
    match read_and_ingest(request, signal, serve, &*ingest).await {
        Ok(answer) => answer,
        Err((reason, status)) => refuse(Some(signal), reason, status),
    }
}

async fn read_and_ingest<I: Ingest>(
    request: Request<Incoming>,
    signal: Signal,
    serve: &ServeOptions,
    ingest: &I,
) -> Result<http::Response<Body>, (Reason, Status)> {
    let problem = |error: BodyError| (reason(&error), body_status(&error, serve.retry_after));
    let permit = serve.admission.permit();
    let (parts, body) = request.into_parts();
    let wire_max = serve.message_bytes_max.saturating_add(FRAME_HEADER_BYTES);
    let body =
        Guarded::new(body, Arc::clone(&permit), wire_max, serve.body_timeout).map_err(problem)?;
    let frame = body.collect().await.map_err(problem)?.to_bytes();
    let (compressed, message) =
        unframe(frame).map_err(|message| (Reason::Invalid, invalid(message)))?;
    let body = match compressed {
        true => {
            let compression =
                compression(&parts.headers).map_err(|status| (Reason::Unsupported, status))?;
            inflate(
                compression,
                message,
                serve.message_bytes_max,
                permit.clone(),
            )
            .await
            .map_err(problem)?
        }
        false => message,
    };
    let bytes = body.len();
    let payload = Payload {
        signal,
        encoding: Encoding::Protobuf,
        body,
    };
    match ingest.ingest(payload).await {
        Ok(receipt) => {
            serve.stats.accept(Transport::Grpc, signal, bytes);
            Ok(success(&answer::success(
                signal,
                Encoding::Protobuf,
                &receipt,
            )))
        }
        Err(Refusal::Invalid { message }) => Err((Reason::Invalid, invalid(&message))),
        Err(Refusal::Busy {
            message,
            retry_after,
        }) => Err((Reason::Busy, busy(&message, retry_after))),
    }
}

/// The one message of a unary call, and whether it is compressed.
fn unframe(mut frame: Bytes) -> Result<(bool, Bytes), &'static str> {
    let Some((flag, length)) = frame.first_chunk::<FRAME_HEADER_BYTES>().map(|header| {
        let [flag, length @ ..] = *header;
        (flag, u32::from_be_bytes(length))
    }) else {
        return Err("the call ended before its message");
    };
    let compressed = match flag {
        0 => false,
        1 => true,
        _ => return Err("the message's compression flag is neither 0 nor 1"),
    };
    frame.advance(FRAME_HEADER_BYTES);
    match usize::try_from(length) {
        Ok(length) if length == frame.len() => Ok((compressed, frame)),
        Ok(length) if length > frame.len() => Err("the call ended inside its message"),
        _ => Err("a unary call has one message; more bytes follow"),
    }
}

/// How a message marked as compressed is compressed.
fn compression(headers: &HeaderMap) -> Result<Compression, Status> {
    let named = headers.get(GRPC_ENCODING).map(HeaderValue::to_str);
    let parsed = named.and_then(Result::ok).map(Compression::parse);
    match parsed {
        Some(Ok(Some(compression))) => Ok(compression),
        Some(Ok(None)) | None => Err(invalid(
            "the message is compressed, but grpc-encoding does not say how",
        )),
        Some(Err(())) => {
            let mut status = Status::unimplemented(
                "this grpc-encoding is not supported; use gzip, zstd, deflate or identity",
            );
            let accepted = MetadataValue::from_static(ACCEPTED_ENCODINGS);
            status.metadata_mut().insert(GRPC_ACCEPT_ENCODING, accepted);
            Err(status)
        }
    }
}

/// One message and the trailers of a call that went well.
fn success(message: &[u8]) -> http::Response<Body> {
    let mut frame = Vec::with_capacity(FRAME_HEADER_BYTES + message.len());
    frame.push(0);
    frame.extend_from_slice(
        &u32::try_from(message.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes(),
    );
    frame.extend_from_slice(message);
    let mut trailers = HeaderMap::new();
    trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
    let body = Full::new(Bytes::from(frame)).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = http::Response::new(Body::new(body));
    let grpc = HeaderValue::from_static("application/grpc");
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, grpc);
    response
}

fn reason(error: &BodyError) -> Reason {
    match error {
        BodyError::TooLarge { .. } => Reason::TooLarge,
        BodyError::Busy => Reason::Busy,
        BodyError::Slow { .. } => Reason::Slow,
        BodyError::Garbage { .. } | BodyError::Broken { .. } => Reason::Invalid,
    }
}

fn body_status(error: &BodyError, retry: Duration) -> Status {
    let message = error.to_string();
    match error {
        BodyError::TooLarge { .. } => Status::resource_exhausted(message),
        BodyError::Busy => busy(&message, retry),
        BodyError::Slow { .. } => Status::deadline_exceeded(message),
        BodyError::Garbage { .. } | BodyError::Broken { .. } => invalid(&message),
    }
}

fn busy(message: &str, retry: Duration) -> Status {
    detailed(Code::Unavailable, message, Detail::Retry(retry))
}

fn invalid(message: &str) -> Status {
    detailed(Code::InvalidArgument, message, Detail::BadRequest)
}

fn detailed(code: Code, message: &str, detail: Detail) -> Status {
    let message = answer::shorten(message);
    let details = answer::status(Encoding::Protobuf, code as i32, message, detail);
    Status::with_details(code, message, details)
}
