//! Sends bytes, right or wrong, as a client that nobody wrote a library for.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use prost::bytes::{Buf, BufMut};
use tonic::{
    Status,
    codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};

/// Ends a test whose request is never answered.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

pub const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
pub const JSON: (&str, &str) = ("content-type", "application/json");
pub const GZIP: (&str, &str) = ("content-encoding", "gzip");

/// What came back over HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Passes bytes through.
#[derive(Debug, Default, Clone, Copy)]
struct Raw;

/// One request on its own connection. `Err` when the connection fails or is closed unanswered.
pub fn try_post(
    to: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer, String> {
    let failed = |error: std::io::Error| error.to_string();
    let mut socket = TcpStream::connect(to).map_err(failed)?;
    socket
        .set_read_timeout(Some(ANSWER_TIME_MAX))
        .map_err(failed)?;
    let mut head = format!("POST {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("content-length: {}\r\n\r\n", body.len());
    socket.write_all(head.as_bytes()).map_err(failed)?;
    // The server may refuse and close before it has read everything.
    let _ = socket.write_all(body);
    read_answer(&mut socket)
}

/// The answer to a request on a connection that the server closes after it.
pub fn read_answer(socket: &mut TcpStream) -> Result<Answer, String> {
    let mut answer = Vec::new();
    let read = socket.read_to_end(&mut answer);
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n");
    let end = end.ok_or_else(|| format!("no answer: {read:?}"))?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split_whitespace().nth(1).and_then(|s| s.parse().ok());
    Ok(Answer {
        status: status.ok_or(head)?,
        body: answer[end + 4..].to_vec(),
    })
}

/// The same, answered.
#[track_caller]
pub fn post(to: SocketAddr, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    try_post(to, path, headers, body).unwrap_or_else(|error| panic!("POST {path}: {error}"))
}

/// One gRPC export of `signal` (`trace`, `logs`, `metrics`): bytes in, bytes or a status out.
pub fn grpc(
    to: SocketAddr,
    signal: &str,
    compression: Option<CompressionEncoding>,
    message: Vec<u8>,
) -> Result<Vec<u8>, Status> {
    let service = match signal {
        "trace" => "trace.v1.TraceService",
        "logs" => "logs.v1.LogsService",
        _ => "metrics.v1.MetricsService",
    };
    let path = format!("/opentelemetry.proto.collector.{service}/Export");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async move {
        let channel = Channel::from_shared(format!("http://{to}")).expect("an address");
        let channel = channel.connect().await;
        let channel = channel.map_err(|error| Status::unavailable(error.to_string()))?;
        let mut client = tonic::client::Grpc::new(channel);
        if let Some(compression) = compression {
            client = client.send_compressed(compression);
        }
        let ready = client.ready().await;
        ready.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = path.parse().expect("a path");
        let answer = client
            .unary(tonic::Request::new(message), path, Raw)
            .await?;
        Ok(answer.into_inner())
    })
}

/// A length-delimited field of a protobuf message.
pub fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    prost::encoding::encode_varint(value.len() as u64, &mut out);
    out.extend_from_slice(value);
    out
}

// === impl Answer ===

impl Answer {
    /// The body as text: messages are readable within protobuf, too.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

// === impl Raw ===

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
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
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut item = vec![0; from.remaining()];
        from.copy_to_slice(&mut item);
        Ok(Some(item))
    }
}
