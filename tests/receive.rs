//! Conformance of the receivers, from outside: bytes in, status, headers and body out.

use std::{
    io::{self, Read, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use lapwing::proto::{google::rpc, opentelemetry::proto::collector::trace::v1 as otlp};
use lapwing::receive::*;
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Code, codec::CompressionEncoding, transport::Channel};

const MIB: usize = 1024 * 1024;
const BOMB_BYTES: u64 = 200 * 1024 * 1024;

/// Records what it is given, and answers as told.
#[derive(Default)]
struct Fake {
    payloads: Mutex<Vec<Payload>>,
    answer: Mutex<Option<Result<Receipt, Refusal>>>,
}

impl Ingest for Fake {
    async fn ingest(&self, payload: Payload) -> Result<Receipt, Refusal> {
        self.payloads.lock().unwrap().push(payload);
        let answer = self.answer.lock().unwrap().clone();
        answer.unwrap_or(Ok(Receipt::default()))
    }
}

struct Server {
    address: String,
    fake: Arc<Fake>,
    serve: ServeOptions,
    _end: DropGuard,
}

impl Server {
    async fn start(http: bool, serve: ServeOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (fake, end) = (Arc::new(Fake::default()), CancellationToken::new());
        let (ingest, token, options) = (Arc::clone(&fake), end.clone(), serve.clone());
        tokio::spawn(async move {
            if http {
                let options = HttpOptions {
                    serve: options,
                    ..HttpOptions::default()
                };
                serve_http(listener, options, ingest, token).await
            } else {
                serve_grpc(listener, GrpcOptions { serve: options }, ingest, token).await
            }
        });
        Self {
            address,
            fake,
            serve,
            _end: end.drop_guard(),
        }
    }

    fn will_answer(&self, answer: Result<Receipt, Refusal>) {
        *self.fake.answer.lock().unwrap() = Some(answer);
    }

    fn bodies(&self) -> Vec<Bytes> {
        let payloads = self.fake.payloads.lock().unwrap();
        payloads
            .iter()
            .map(|payload| payload.body.clone())
            .collect()
    }

    /// One request on its own connection: the head in lower case, and the body.
    async fn raw(&self, head: &str, body: &[u8]) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let head = format!("{head}\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        // The server may refuse and close before it has read everything.
        let _ = stream.write_all(body).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
        (head, answer[end + 4..].to_vec())
    }

    async fn post(&self, path: &str, headers: &str, body: &[u8]) -> (String, Vec<u8>) {
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\n{headers}\r\ncontent-length: {length}");
        self.raw(&head, body).await
    }

    async fn export(
        &self,
        compression: Option<CompressionEncoding>,
        message: Vec<u8>,
    ) -> Result<otlp::ExportTraceServiceResponse, tonic::Status> {
        let uri = format!("http://{}", self.address);
        let channel = Channel::from_shared(uri).unwrap().connect().await.unwrap();
        let mut client = tonic::client::Grpc::new(channel);
        if let Some(compression) = compression {
            client = client.send_compressed(compression);
        }
        client.ready().await.unwrap();
        let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
        let codec = tonic_prost::ProstCodec::<prost_types::Any, _>::default();
        // Any{value} is one length-delimited field: enough for bytes of a chosen size.
        let value = prost_types::Any {
            type_url: String::new(),
            value: message,
        };
        let request = tonic::Request::new(value);
        let answer = client.unary(request, path.parse().unwrap(), codec).await?;
        Ok(answer.into_inner())
    }
}

fn small() -> ServeOptions {
    ServeOptions {
        message_bytes_max: MIB,
        ..ServeOptions::default()
    }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn bombs() -> [(&'static str, Vec<u8>); 3] {
    let zeros = || io::repeat(0).take(BOMB_BYTES);
    let fast = flate2::Compression::fast();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), fast);
    io::copy(&mut zeros(), &mut gz).unwrap();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), fast);
    io::copy(&mut zeros(), &mut zlib).unwrap();
    let zst = zstd::stream::encode_all(zeros(), 1).unwrap();
    [
        ("gzip", gz.finish().unwrap()),
        ("deflate", zlib.finish().unwrap()),
        ("zstd", zst),
    ]
}

const PB: &str = "content-type: application/x-protobuf";
const JS: &str = "content-type: Application/JSON; charset=utf-8";

#[tokio::test(flavor = "multi_thread")]
async fn http_refusals_are_statuses_in_the_encoding_of_the_request() {
    let server = Server::start(true, small()).await;
    let table = [
        ("/v1/traces", "content-type: text/plain", "415", ""),
        ("/v1/traces", "x-none: 1", "415", ""),
        ("/", PB, "404", "/v1/traces"),
        ("/v1development/profiles", JS, "404", "profiles"),
        (
            "/v1/traces",
            &format!("{PB}\r\ncontent-encoding: br"),
            "400",
            "content-encoding",
        ),
        (
            "/v1/logs",
            &format!("{JS}\r\ncontent-encoding: gzip"),
            "400",
            "gzip",
        ),
        (
            "/v1/logs",
            &format!("{PB}\r\ncontent-encoding: zstd"),
            "400",
            "zstd",
        ),
    ];
    for (path, headers, status, says) in table {
        let (head, body) = server.post(path, headers, b"garbage").await;
        assert!(
            head.starts_with(&format!("http/1.1 {status}")),
            "{path} {headers}: {head}"
        );
        let message = if headers.contains("protobuf") {
            assert!(
                head.contains("content-type: application/x-protobuf"),
                "{head}"
            );
            rpc::Status::decode(&body[..]).unwrap().message
        } else {
            assert!(head.contains("content-type: application/json"), "{head}");
            let status: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert!(status["code"].is_number());
            status["message"].as_str().unwrap().to_owned()
        };
        assert!(message.to_lowercase().contains(says), "{message}");
    }
    let (head, _) = server.raw("GET /v1/traces HTTP/1.1", b"").await;
    assert!(
        head.starts_with("http/1.1 405") && head.contains("allow: post"),
        "{head}"
    );
    let (head, _) = server.post("/v1/traces", PB, &vec![0; MIB + 1]).await;
    assert!(head.starts_with("http/1.1 413"), "{head}");
    assert!(server.bodies().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn http_success_partial_success_and_busy() {
    let server = Server::start(true, small()).await;
    let (head, body) = server.post("/v1/traces", JS, b"{}").await;
    assert!(head.starts_with("http/1.1 200") && head.contains("application/json"));
    assert_eq!(body, b"{}");
    let (head, body) = server.post("/v1/metrics", PB, b"").await;
    assert!(
        head.starts_with("http/1.1 200") && body.is_empty(),
        "{head}"
    );
    let gz = format!("{PB}\r\ncontent-encoding: gzip");
    server.post("/v1/logs", &gz, &gzip(b"hello")).await;
    let chunked = format!("POST /v1/logs HTTP/1.1\r\n{PB}\r\ntransfer-encoding: chunked");
    server
        .raw(&chunked, b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        .await;
    assert_eq!(server.bodies(), ["{}", "hello", "abcde"]);

    server.will_answer(Ok(Receipt {
        rejected: 3,
        message: "é".repeat(10 * MIB),
    }));
    let (_, body) = server.post("/v1/logs", JS, b"{}").await;
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(json["partialSuccess"]["rejectedLogRecords"], "3");
    assert!(body.len() < 8 * 1024);

    server.will_answer(Err(Refusal::Busy {
        message: "full".to_owned(),
        retry_after: Duration::from_millis(1500),
    }));
    let (head, _) = server.post("/v1/traces", PB, b"x").await;
    assert!(
        head.starts_with("http/1.1 503") && head.contains("retry-after: 2"),
        "{head}"
    );
    assert_eq!(server.serve.admission.bytes(), 0);
    let stats = &server.serve.stats;
    assert_eq!(
        stats.refused(Transport::Http, Some(Signal::Traces), Reason::Busy),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_and_slow_clients_are_refused() {
    let options = ServeOptions {
        body_timeout: Duration::from_millis(200),
        header_timeout: Duration::from_millis(200),
        ..small()
    };
    let server = Server::start(true, options).await;
    for (encoding, bomb) in bombs() {
        let headers = format!("{PB}\r\ncontent-encoding: {encoding}");
        let (head, _) = server.post("/v1/traces", &headers, &bomb).await;
        assert!(head.starts_with("http/1.1 413"), "{encoding}: {head}");
    }
    // Ten bytes are promised and never come.
    let head = format!("POST /v1/traces HTTP/1.1\r\n{PB}\r\ncontent-length: 10");
    let (head, _) = server.raw(&head, b"").await;
    // Clients send again after 503, and not after 408.
    assert!(head.starts_with("http/1.1 503"), "{head}");
    assert!(head.contains("retry-after"), "{head}");
    // No byte, and half of the HTTP/2 preface: closed.
    for sent in ["", "PRI * HT", "POST /v1/traces HTTP/1.1\r\nhos"] {
        let mut stream = TcpStream::connect(&server.address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_house_and_a_missing_token_are_refused_on_both_transports() {
    for http in [true, false] {
        let full = ServeOptions {
            admission: Admission::new(10),
            ..small()
        };
        let closed = ServeOptions {
            tokens: BearerTokens::new(["secret"]),
            ..small()
        };
        let (full, closed) = (
            Server::start(http, full).await,
            Server::start(http, closed).await,
        );
        if http {
            let (head, _) = full.post("/v1/traces", PB, &[0; 11]).await;
            assert!(head.starts_with("http/1.1 503") && head.contains("retry-after: 1"));
            let (head, _) = closed.post("/v1/traces", PB, b"x").await;
            assert!(head.starts_with("http/1.1 401"), "{head}");
            let headers = format!("{PB}\r\nauthorization: bearer secret");
            let (head, _) = closed.post("/v1/traces", &headers, b"x").await;
            assert!(head.starts_with("http/1.1 200"), "{head}");
        } else {
            let status = full.export(None, vec![0; 100]).await.unwrap_err();
            assert_eq!(status.code(), Code::Unavailable);
            let details = rpc::Status::decode(status.details()).unwrap();
            assert!(details.details[0].type_url.ends_with("RetryInfo"));
            let status = closed.export(None, vec![0; 100]).await.unwrap_err();
            assert_eq!(status.code(), Code::Unauthenticated);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_answers_with_codes_that_say_whether_to_retry() {
    let server = Server::start(false, small()).await;
    for compression in [
        None,
        Some(CompressionEncoding::Gzip),
        Some(CompressionEncoding::Zstd),
    ] {
        let answer = server.export(compression, b"hello".to_vec()).await.unwrap();
        assert_eq!(answer.partial_success, None);
        // 200 MB of zeros once, to be inflated; a little over the limit otherwise.
        let size = compression.map_or(MIB + 1, |_| BOMB_BYTES as usize);
        let status = server.export(compression, vec![0; size]).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        assert!(status.details().is_empty());
    }
    assert!(server.bodies().iter().all(|body| body.ends_with(b"hello")));
    assert_eq!(server.bodies().len(), 3);
    server.will_answer(Err(Refusal::Invalid {
        message: "no".to_owned(),
    }));
    let status = server.export(None, vec![1]).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    server.will_answer(Ok(Receipt {
        rejected: 2,
        message: "two".to_owned(),
    }));
    let answer = server.export(None, vec![1]).await.unwrap();
    assert_eq!(answer.partial_success.unwrap().rejected_spans, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exporter_of_opentelemetry_is_understood() {
    use opentelemetry::trace::{Tracer, TracerProvider};
    use opentelemetry_otlp::WithExportConfig;
    let server = Server::start(false, small()).await;
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(format!("http://{}", server.address))
        .build()
        .unwrap();
    let provider = opentelemetry_sdk::trace::SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .build();
    drop(provider.tracer("t").start("chat"));
    let flushing = tokio::task::spawn_blocking(move || provider.force_flush());
    flushing.await.unwrap().unwrap();
    let request = otlp::ExportTraceServiceRequest::decode(server.bodies()[0].clone()).unwrap();
    assert_eq!(
        request.resource_spans[0].scope_spans[0].spans[0].name,
        "chat"
    );
}
