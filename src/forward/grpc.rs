//! OTLP/gRPC: the request goes as the bytes it is.

use std::{error::Error as _, time::Duration};

use ::http::uri::PathAndQuery;
use bytes::{Buf, BufMut, Bytes};
use prost::Message as _;
use tonic::{
    Code, Request, Status,
    client::Grpc as Client,
    codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::MetadataMap,
    transport::{Channel, ClientTlsConfig, Endpoint},
};

use super::{
    Compression, Options, Signal, http,
    send::{Outcome, SetupError, accepted},
};
use crate::proto::google::rpc;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Grpc {
    channel: Channel,
    metadata: MetadataMap,
    compression: Compression,
    timeout: Duration,
}

// === impl Grpc ===

impl Grpc {
    pub fn new(options: &Options) -> Result<Grpc, SetupError> {
        let wrong = |error: tonic::transport::Error| SetupError::Endpoint(error.to_string());
        let mut endpoint = Endpoint::from_shared(options.endpoint.clone())
            .map_err(wrong)?
            .user_agent(concat!("lapwing/", env!("CARGO_PKG_VERSION")))
            .map_err(wrong)?
            .connect_timeout(CONNECT_TIMEOUT);
        if options.endpoint.starts_with("https://") {
            let tls = ClientTlsConfig::new().with_native_roots();
            endpoint = endpoint.tls_config(tls).map_err(wrong)?;
        }
        Ok(Grpc {
            channel: endpoint.connect_lazy(),
            metadata: MetadataMap::from_headers(http::headers(&options.headers)?),
            compression: options.compression,
            timeout: options.timeout,
        })
    }

    pub async fn send(&self, signal: Signal, request: Bytes) -> Outcome {
        let retry = |reason| Outcome::Retry {
            reason,
            after: None,
        };
        match tokio::time::timeout(self.timeout, self.call(signal, request)).await {
            Ok(Ok(answer)) => accepted(&answer),
            Ok(Err(status)) => judged(&status),
            Err(_) => retry("no answer in time".to_owned()),
        }
    }

    async fn call(&self, signal: Signal, message: Bytes) -> Result<Bytes, Status> {
        let mut client = Client::new(self.channel.clone());
        if self.compression == Compression::Gzip {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        client
            .ready()
            .await
            .map_err(|error| Status::from_error(error.into()))?;
        let mut request = Request::new(message);
        *request.metadata_mut() = self.metadata.clone();
        let path = PathAndQuery::from_static(signal.grpc_path());
        let answer = client.unary(request, path, Raw).await?;
        Ok(answer.into_inner())
    }
}

/// What a refusal means, as OTLP has it.
fn judged(status: &Status) -> Outcome {
    let after = retry_info(status.details());
    let reason = match status.source() {
        Some(cause) => format!("{}: {cause}", status.message()),
        None => format!("{:?}: {}", status.code(), status.message()),
    };
    // Not said by the target, but met on the way to it.
    if status.source().is_some() {
        return Outcome::Retry { reason, after };
    }
    match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Outcome::Retry { reason, after },
        Code::ResourceExhausted if after.is_some() => Outcome::Retry { reason, after },
        Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented | Code::NotFound => {
            Outcome::Held { reason }
        }
        _ => Outcome::Refused { reason },
    }
}

/// The delay of a `google.rpc.RetryInfo` among a status' details.
fn retry_info(details: &[u8]) -> Option<Duration> {
    let status = rpc::Status::decode(details).ok()?;
    let info = status
        .details
        .iter()
        .find(|any| any.type_url.ends_with("google.rpc.RetryInfo"))?;
    let info = rpc::RetryInfo::decode(&info.value[..]).ok()?;
    info.retry_delay?.try_into().ok()
}

/// Bytes are messages.
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
