//! OTLP over gRPC: framing and compression by tonic, the message itself passed through as bytes.
//!
//! Every failure leaves here with a code whose retry meaning the OTLP specification defines.
//! Methods we do not know, OTel Arrow among them, are UNIMPLEMENTED, so that clients fall back.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::{Buf, BufMut, Bytes};
use http::Request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Status,
    body::Body,
    codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder},
    server::{Grpc, UnaryService},
};

use super::{
    Encoding, GrpcOptions, Ingest, Payload, Reason, ReceiveError, Refusal, Signal, Transport,
    answer::{self, Detail},
    body::{BodyError, Guarded},
    connections::{self, Versions},
    limits::Permit,
};

/// Flag and length before each message.
const FRAME_HEADER_BYTES: usize = 5;
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
    let permit = serve.admission.permit();
    let (parts, body) = request.into_parts();
    let wire_max = serve.message_bytes_max.saturating_add(FRAME_HEADER_BYTES);
    let retry = serve.retry_after;
    let body = match Guarded::new(body, Arc::clone(&permit), wire_max, serve.body_timeout) {
        Ok(body) => body.map_err(move |error| body_status(&error, retry)),
        Err(error) => return refuse(Some(signal), reason(&error), body_status(&error, retry)),
    };
    let service = Export {
        options: Arc::clone(options),
        ingest,
        signal,
        permit,
    };
    let response = Grpc::new(PassThrough)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .max_decoding_message_size(serve.message_bytes_max)
        .unary(service, Request::from_parts(parts, body))
        .await;
    settle(response, options, signal)
}

/// Gives tonic's own failures the codes that OTLP asks for, and counts what failed while reading.
fn settle(
    response: http::Response<Body>,
    options: &GrpcOptions,
    signal: Signal,
) -> http::Response<Body> {
    let Some(status) = Status::from_header_map(response.headers()) else {
        return response;
    };
    let reason = match status.code() {
        // tonic's word for an oversize message, but clients retry OUT_OF_RANGE.
        Code::OutOfRange | Code::ResourceExhausted => Reason::TooLarge,
        Code::Unavailable => Reason::Busy,
        Code::DeadlineExceeded => Reason::Slow,
        Code::Unimplemented => Reason::Unsupported,
        _ => Reason::Invalid,
    };
    options
        .serve
        .stats
        .refuse(Transport::Grpc, Some(signal), reason);
    match status.code() {
        Code::OutOfRange => Status::resource_exhausted(status.message()).into_http(),
        Code::Internal => invalid(status.message()).into_http(),
        _ => response,
    }
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

struct Export<I> {
    options: Arc<GrpcOptions>,
    ingest: Arc<I>,
    signal: Signal,
    permit: Arc<Permit>,
}

impl<I: Ingest> UnaryService<Bytes> for Export<I> {
    type Response = Bytes;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<Bytes>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let (options, ingest) = (Arc::clone(&self.options), Arc::clone(&self.ingest));
        let (signal, permit) = (self.signal, Arc::clone(&self.permit));
        Box::pin(async move {
            let body = request.into_inner();
            let bytes = body.len();
            permit
                .grow_to(bytes)
                .map_err(|full| body_status(&full.into(), options.serve.retry_after))?;
            let payload = Payload {
                signal,
                encoding: Encoding::Protobuf,
                body,
            };
            match ingest.ingest(payload).await {
                Ok(receipt) => {
                    options.serve.stats.accept(Transport::Grpc, signal, bytes);
                    let answer = answer::success(signal, Encoding::Protobuf, &receipt);
                    Ok(tonic::Response::new(answer))
                }
                Err(Refusal::Invalid { message }) => Err(invalid(&message)),
                Err(Refusal::Busy {
                    message,
                    retry_after,
                }) => Err(busy(&message, retry_after)),
            }
        })
    }
}

/// Messages as the bytes they are.
#[derive(Debug, Clone, Copy)]
struct PassThrough;

impl Codec for PassThrough {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for PassThrough {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for PassThrough {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
