//! ClickHouse's HTTP interface over the engine: two doors, one implementation.
//!
//! The front is not a proxy: it takes statement and data apart itself, because the engine library executes as SQL
//! whatever follows a blank line in inline data. Every request runs on a connection of its own (0.1 ms), so no setting
//! leaks to the next; sessions keep theirs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::ffi::Engine;
use super::outcome::EngineError;
use super::{Door, random_hex};
use answer::{Body, Running, Waiting};
use auth::Side;
use error::{Exception, TOO_MANY_QUERIES};
use execute::Job;
use request::{Ask, url_fields};
use sessions::Sessions;

mod answer;
mod auth;
mod blocks;
mod body;
mod error;
mod execute;
mod formats;
mod handshake;
mod request;
mod sessions;
mod settings;
mod statement;

/// Queries that run at once through each door; more are refused with a retryable status.
const WRITER_QUERIES_MAX: usize = 64;
const READER_QUERIES_MAX: usize = 32;
/// Open connections of both doors; more are closed at once.
const CONNECTIONS_MAX: usize = 1_024;
/// A client that does not finish its headers in time is given up.
const HEADER_TIME_MAX: Duration = Duration::from_secs(15);
/// Request line and headers; a URL may carry a statement.
const HEADER_BYTES_MAX: usize = 256 * 1024;
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// Where the child proves who it is; see [`Door::proof`].
pub const PROOF_PATH: &str = "/lapwing/door";

/// What the engine says about itself.
pub struct About {
    pub version: String,
    pub timezone: String,
    pub display_name: String,
}

/// Everything the requests share.
pub struct Front {
    engine: Engine,
    about: About,
    database: String,
    memory_limit_bytes: u64,
    key: String,
    nonce: String,
    sessions: Sessions,
    writer: Arc<Semaphore>,
    reader: Arc<Semaphore>,
    connections: Arc<Semaphore>,
}

/// Secrets and limits of a front.
pub struct FrontConfig {
    pub database: String,
    pub memory_limit_bytes: u64,
    pub key: String,
    pub nonce: String,
}

/// Why a front cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("the engine failed its first statement: {0}")]
    Statement(String),
}

impl Front {
    /// Creates the database and learns who the engine is. Blocks.
    pub fn new(engine: Engine, config: FrontConfig) -> Result<Self, FrontError> {
        let mut connection = engine.connect()?;
        let create = format!(
            "CREATE DATABASE IF NOT EXISTS {}",
            settings::identifier(&config.database)
        );
        connection
            .query(create.as_bytes(), "Null", &[])
            .map_err(FrontError::Statement)?;
        let output = connection
            .query(
                b"SELECT version(), timezone(), displayName()",
                "TSVRaw",
                &[],
            )
            .map_err(FrontError::Statement)?;
        let text = String::from_utf8_lossy(output.bytes()).into_owned();
        let mut fields = text.trim_end().split('\t').map(str::to_owned);
        let mut field = || fields.next().unwrap_or_default();
        let about = About {
            version: field(),
            timezone: field(),
            display_name: field(),
        };
        drop(output);
        drop(connection);
        Ok(Self {
            engine,
            about,
            database: config.database,
            memory_limit_bytes: config.memory_limit_bytes,
            key: config.key,
            nonce: config.nonce,
            sessions: Sessions::new(),
            writer: Arc::new(Semaphore::new(WRITER_QUERIES_MAX)),
            reader: Arc::new(Semaphore::new(READER_QUERIES_MAX)),
            connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        })
    }

    pub fn version(&self) -> &str {
        &self.about.version
    }

    /// Accepts connections on one door until the task is dropped.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, writer: bool) {
        let side = if writer { Side::Writer } else { Side::Reader };
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "the embedded store cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() else {
                continue;
            };
            let front = Arc::clone(&self);
            tokio::spawn(async move {
                let _permit = permit;
                let Ok(local) = stream.local_addr() else {
                    return;
                };
                // Without it small answers wait for the client's acknowledgement.
                let _ = stream.set_nodelay(true);
                let service = hyper::service::service_fn(move |request| {
                    let front = Arc::clone(&front);
                    async move {
                        Ok::<_, std::convert::Infallible>(front.answer(request, side, local).await)
                    }
                });
                // A connection that breaks concerns nobody else.
                let _ = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEADER_TIME_MAX)
                    .max_buf_size(HEADER_BYTES_MAX)
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    }

    /// Drops idle sessions for as long as it is polled.
    pub async fn sweep(self: Arc<Self>) {
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            let front = Arc::clone(&self);
            // Closing a connection enters the engine.
            let _ = tokio::task::spawn_blocking(move || front.sessions.sweep(Instant::now())).await;
        }
    }

    /// Takes no more queries and waits for those that run, for at most `limit`.
    pub async fn drain(&self, limit: Duration) {
        let all = |queries: usize| u32::try_from(queries).unwrap_or(u32::MAX);
        let idle = async {
            let _writer = self.writer.acquire_many(all(WRITER_QUERIES_MAX)).await;
            let _reader = self.reader.acquire_many(all(READER_QUERIES_MAX)).await;
            self.writer.close();
            self.reader.close();
        };
        let _ = tokio::time::timeout(limit, idle).await;
        self.sessions.clear();
    }

    async fn answer(
        self: Arc<Self>,
        request: http::Request<Incoming>,
        side: Side,
        local: SocketAddr,
    ) -> Response<Body> {
        let (parts, incoming) = request.into_parts();
        if let Err(refusal) = auth::check_host(&parts, local) {
            return refused(&refusal);
        }
        let query = parts.uri.query().unwrap_or_default();
        let reading = parts.method == Method::GET || parts.method == Method::HEAD;
        match (parts.uri.path(), reading) {
            ("/ping" | "/replicas_status", true) => return text(StatusCode::OK, "Ok.\n"),
            (PROOF_PATH, true) => {
                let challenge = url_fields(query)
                    .into_iter()
                    .find(|(name, _)| name == "challenge");
                return text(
                    StatusCode::OK,
                    Door::proof(&self.nonce, &challenge.unwrap_or_default().1),
                );
            }
            ("/", true) if query.is_empty() => return text(StatusCode::OK, "Ok.\n"),
            ("/" | "/query", _) => {}
            _ => {
                return text(
                    StatusCode::NOT_FOUND,
                    "There is no such path; statements go to /\n",
                );
            }
        }
        if let Err(refusal) = auth::check(&parts, side, local, &self.key) {
            return refused(&refusal);
        }
        if parts.method != Method::GET && parts.method != Method::POST {
            return text(StatusCode::METHOD_NOT_ALLOWED, "Use GET or POST\n");
        }
        match Ask::parse(&parts) {
            Ok(ask) => self
                .execute(ask, incoming, side)
                .await
                .unwrap_or_else(|refusal| refused(&refusal)),
            Err(refusal) => refused(&refusal),
        }
    }

    async fn execute(
        self: Arc<Self>,
        ask: Ask,
        incoming: Incoming,
        side: Side,
    ) -> Result<Response<Body>, Exception> {
        let queries = if side == Side::Writer {
            &self.writer
        } else {
            &self.reader
        };
        let permit = Arc::clone(queries).try_acquire_owned().map_err(|_| {
            Exception::new(
                TOO_MANY_QUERIES,
                "Too many simultaneous queries; try again later",
            )
        })?;
        let random = |_| {
            Exception::new(
                (1001, "STD_EXCEPTION"),
                "no random bytes from the operating system",
            )
        };
        let tag = format!("|{}", random_hex::<16>().map_err(random)?);
        let exception_tag = random_hex::<8>().map_err(random)?;
        let query_id = ask
            .query_id
            .clone()
            .filter(|id| id.bytes().all(|byte| byte.is_ascii_graphic()));
        let query_id = query_id.unwrap_or_else(|| tag.trim_start_matches('|').to_owned());
        let running = Running::new(self.engine.clone(), tag.clone());
        let waiting = Waiting(Arc::clone(&running));
        let (mut sink, pending) = answer::channel();
        let body = body::channel(incoming);
        let job = Job {
            front: self,
            side,
            ask,
            query_id,
            tag,
            exception_tag,
        };
        tokio::task::spawn_blocking(move || {
            job.run(body, &mut sink);
            running.finish();
            drop(sink);
            drop(permit);
        });
        let lost = || Exception::new((1001, "STD_EXCEPTION"), "the query ended without an answer");
        pending.head(waiting).await.ok_or_else(lost)
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::Whole(Some(body.into())));
    *response.status_mut() = status;
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("text/plain; charset=UTF-8"),
    );
    response
}

fn refused(refusal: &Exception) -> Response<Body> {
    let mut response = text(refusal.status(), format!("{}\n", refusal.text));
    response
        .headers_mut()
        .insert("X-ClickHouse-Exception-Code", refusal.code.into());
    response
}
