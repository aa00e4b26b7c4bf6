//! One request on one connection of the engine, from statement to answer. Runs on a worker's thread and blocks.
//!
//! Not here: what a connection is set to before ([`session`]), and the words of an answer ([`reply`]).

mod reply;
mod session;

use std::io::Read;
use std::sync::Arc;

use super::answer::Sink;
use super::auth::Side;
use super::error::{
    CANNOT_DECOMPRESS, Exception, NETWORK_ERROR, QUERY_IS_TOO_LARGE, READONLY, SYNTAX_ERROR,
};
use super::formats::{Joiner, Shape, shape};
use super::request::Ask;
use super::statement::{Refusal, Statement, split};
use super::{Front, body, handshake};
use crate::store::embedded::ffi::{Connection, Output};
use crate::store::embedded::outcome::{Counters, Effect};

/// Longest statement, data of an `INSERT` not counted.
const QUERY_BYTES_MAX: usize = 8 * 1024 * 1024;
const READ_BYTES: usize = 256 * 1024;
/// With `wait_end_of_query`, so much of a result is held back to tell a late failure by the status.
const WAIT_BYTES_MAX: usize = 32 * 1024 * 1024;
const DEFAULT_FORMAT: &str = "TabSeparated";

/// A request on its way through a worker.
pub struct Job {
    pub front: Arc<Front>,
    pub side: Side,
    pub ask: Ask,
    pub query_id: String,
    /// Marks the query in `system.processes`, for the one who kills it.
    pub tag: String,
    /// Tells an exception block from data.
    pub exception_tag: String,
}

/// Why a job stopped early.
pub enum Stop {
    Failed(Exception),
    /// Nobody waits for the rest.
    Gone,
}

impl From<Exception> for Stop {
    fn from(exception: Exception) -> Self {
        Self::Failed(exception)
    }
}

impl From<super::answer::Gone> for Stop {
    fn from(_: super::answer::Gone) -> Self {
        Self::Gone
    }
}

/// A statement ready to run.
enum Work {
    Insert {
        head: Vec<u8>,
        format: String,
        first: Vec<u8>,
        rest: Box<dyn Read + Send>,
    },
    Query {
        text: Vec<u8>,
        format: String,
        stream: Option<Shape>,
        session: bool,
    },
}

impl Job {
    /// Runs the request. What fails before the head is out becomes the answer, what fails later its tail.
    pub fn run(mut self, body: body::ChannelReader, sink: &mut Sink) {
        let Err(Stop::Failed(exception)) = self.work(body, sink) else {
            return;
        };
        if sink.started() {
            sink.break_off(&exception, &self.exception_tag);
            return;
        }
        let head = self
            .head("TabSeparated", Counters::default())
            .status(exception.status())
            .header("X-ClickHouse-Exception-Code", exception.code)
            .header("Content-Type", "text/plain; charset=UTF-8");
        // When the client is gone, nobody is left to be told.
        if let Ok(head) = head.body(())
            && sink.start(head).is_ok()
        {
            let _ = sink.send(format!("{}\n", exception.text).into());
        }
    }

    fn work(&mut self, body: body::ChannelReader, sink: &mut Sink) -> Result<(), Stop> {
        let work = self.read(body)?;
        if let Work::Query { text, .. } = &work
            && self.ask.client_protocol_version > 0
            && handshake::is(&String::from_utf8_lossy(text))
        {
            let about = &self.front.about;
            let version = self.ask.client_protocol_version;
            let block = handshake::block(
                version,
                &about.display_name,
                &about.version,
                &about.timezone,
            );
            return self.send_all(sink, "Native", Counters::default(), &block);
        }
        // Under readonly=1 a session has nothing to keep, so the read door has none.
        let id = self
            .ask
            .session_id
            .clone()
            .filter(|_| self.side == Side::Writer);
        let Some(id) = id else {
            let mut kept = self.fresh()?;
            self.prepare(&mut kept)?;
            return self.perform(&mut kept.connection, work, sink);
        };
        let kept = self.front.sessions.take(&id, self.ask.session_check)?;
        let mut kept = match kept.map_or_else(|| self.fresh(), Ok) {
            Ok(kept) => kept,
            Err(exception) => {
                self.front.sessions.forget(&id);
                return Err(exception.into());
            }
        };
        let outcome = self.in_session(&mut kept, work, sink);
        // After a failure in mid-stream, or with a client gone, the connection still holds its query.
        let clean = outcome.is_ok() || (matches!(outcome, Err(Stop::Failed(_))) && !sink.started());
        if clean {
            self.front
                .sessions
                .put(&id, kept, self.ask.session_timeout_s);
        } else {
            drop(kept);
            self.front.sessions.forget(&id);
        }
        outcome
    }

    /// Reads the body up to where the statement is known.
    fn read(&mut self, body: body::ChannelReader) -> Result<Work, Exception> {
        let mut rest = body::plain(
            body,
            self.ask.content_encoding.as_deref(),
            self.ask.decompress,
        )?;
        if self.ask.boundary.is_some() {
            let mut form = Vec::new();
            read_up_to(&mut rest, &mut form, QUERY_BYTES_MAX)?;
            self.ask.add_form(&form)?;
        }
        let mut text = std::mem::take(&mut self.ask.query).into_bytes();
        if !text.is_empty() {
            text.push(b'\n');
        }
        let mut complete = false;
        loop {
            match split(&text, complete).map_err(refuse)? {
                Statement::Incomplete => {
                    // Doubles, so that the text is taken apart a few times at most.
                    let before = text.len();
                    let want = before.max(READ_BYTES);
                    complete = read_up_to(&mut rest, &mut text, want)?;
                    if text.len() > QUERY_BYTES_MAX {
                        let message =
                            format!("the statement is longer than {QUERY_BYTES_MAX} bytes");
                        return Err(Exception::new(QUERY_IS_TOO_LARGE, message));
                    }
                }
                Statement::Insert {
                    head_end,
                    format,
                    data,
                } => {
                    let first = text.split_off(data);
                    text.truncate(head_end);
                    return Ok(Work::Insert {
                        head: text,
                        format,
                        first,
                        rest,
                    });
                }
                Statement::Query {
                    select,
                    format,
                    totals,
                    session,
                } => {
                    let format = format.or_else(|| self.ask.default_format.clone());
                    let format = format.unwrap_or_else(|| DEFAULT_FORMAT.to_owned());
                    let framed = self.ask.settings.iter().any(|(name, value)| {
                        matches!(
                            name.as_str(),
                            "extremes" | "output_format_json_array_of_rows"
                        ) && value != "0"
                    });
                    let shape = Some(shape(&format))
                        .filter(|shape| select && !totals && !framed && *shape != Shape::Whole);
                    return Ok(Work::Query {
                        text,
                        format,
                        stream: shape,
                        session,
                    });
                }
            }
        }
    }

    fn perform(
        &self,
        connection: &mut Connection,
        work: Work,
        sink: &mut Sink,
    ) -> Result<(), Stop> {
        let text = match &work {
            Work::Insert { head, .. } => head,
            Work::Query { text, .. } => text,
        };
        let reads_only = self.side == Side::Reader || self.ask.get;
        let analysis = connection.classify(text);
        if let Some(analysis) = analysis
            && analysis.statements > 1
        {
            return Err(refuse(Refusal::Several).into());
        }
        // A text that does not parse goes on, for the engine's own message; an INSERT without its data may not parse.
        let parsed = analysis
            .is_none_or(|analysis| analysis.statements > 0 || matches!(work, Work::Insert { .. }));
        if reads_only
            && parsed
            && analysis.is_none_or(|analysis| analysis.effect != Effect::ReadOnly)
        {
            let message = match self.side {
                Side::Reader => {
                    "Cannot execute query in readonly mode. This door is for reading; write through the \
                                 writer's door, see store-door.json in the data directory"
                }
                Side::Writer => {
                    "Cannot execute query in readonly mode. For queries over HTTP, method GET implies \
                                 readonly. You should use method POST for modifying queries"
                }
            };
            return Err(Exception::new(READONLY, message).into());
        }
        match work {
            Work::Insert {
                head,
                format,
                first,
                rest,
            } => self.insert(connection, &head, &format, first, rest, sink),
            Work::Query {
                text,
                format,
                stream: Some(shape),
                ..
            } => self.stream(connection, &text, &format, shape, sink),
            Work::Query {
                text,
                format,
                stream: None,
                ..
            } => {
                let output = engine(connection.query(&text, &format, &self.ask.params))?;
                self.send_all(sink, &format, output.counters(), output.bytes())
            }
        }
    }

    fn insert(
        &self,
        connection: &mut Connection,
        head: &[u8],
        format: &str,
        first: Vec<u8>,
        mut rest: Box<dyn Read + Send>,
        sink: &mut Sink,
    ) -> Result<(), Stop> {
        let mut insert = engine(connection.insert(head, format, &self.ask.params))?;
        let mut buffer = first;
        loop {
            if !buffer.is_empty() {
                engine(insert.append(&buffer))?;
            }
            buffer.clear();
            // An error here drops the insert: what was not flushed yet is discarded.
            let complete = read_up_to(&mut rest, &mut buffer, READ_BYTES)?;
            if complete {
                engine(insert.append(&buffer))?;
                break;
            }
        }
        let output = engine(insert.finish())?;
        self.send_all(sink, DEFAULT_FORMAT, output.counters(), &[])
    }

    fn stream(
        &self,
        connection: &mut Connection,
        text: &[u8],
        format: &str,
        shape: Shape,
        sink: &mut Sink,
    ) -> Result<(), Stop> {
        let mut chunks = engine(connection.stream(text, format, &self.ask.params))?;
        let mut joiner = Joiner::new(shape);
        let mut held: Vec<u8> = Vec::new();
        let mut counters = Counters::default();
        for chunk in &mut chunks {
            let chunk = engine(chunk)?;
            add(&mut counters, &chunk);
            let part = joiner.join(chunk.bytes()).ok_or_else(|| {
                Exception::new(
                    (1001, "STD_EXCEPTION"),
                    "the engine changed the header of the result in mid-stream",
                )
            })?;
            if self.ask.wait_end_of_query
                && !sink.started()
                && held.len().saturating_add(part.len()) <= WAIT_BYTES_MAX
            {
                held.extend_from_slice(part);
                continue;
            }
            if !sink.started() {
                sink.start(self.ok(format, Counters::default())?)?;
                self.send(sink, &std::mem::take(&mut held))?;
            }
            self.send(sink, part)?;
        }
        drop(chunks);
        if !sink.started() {
            return self.send_all(sink, format, counters, &held);
        }
        Ok(())
    }
}

fn engine<T>(result: Result<T, String>) -> Result<T, Exception> {
    result.map_err(|text| Exception::from_engine(&text))
}

fn refuse(refusal: Refusal) -> Exception {
    match refusal {
        Refusal::File => Exception::new(super::error::ACCESS_DENIED, refusal),
        Refusal::Several | Refusal::Empty => Exception::new(SYNTAX_ERROR, refusal),
    }
}

fn add(total: &mut Counters, chunk: &Output) {
    let counters = chunk.counters();
    // Rows read are told as a running total, rows of the result per chunk.
    total.read_rows = total.read_rows.max(counters.read_rows);
    total.read_bytes = total.read_bytes.max(counters.read_bytes);
    total.result_rows = total.result_rows.saturating_add(counters.result_rows);
}

/// Appends up to `want` bytes; true when the body ended.
fn read_up_to(body: &mut dyn Read, out: &mut Vec<u8>, want: usize) -> Result<bool, Exception> {
    let limit = u64::try_from(want).unwrap_or(u64::MAX);
    match body.take(limit).read_to_end(out) {
        Ok(read) => Ok(read < want),
        Err(error) => {
            let kind = match error.kind() {
                std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof => {
                    CANNOT_DECOMPRESS
                }
                _ => NETWORK_ERROR,
            };
            Err(Exception::new(
                kind,
                format!("cannot read the body of the request: {error}"),
            ))
        }
    }
}
