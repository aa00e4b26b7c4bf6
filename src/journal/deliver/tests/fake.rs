//! A ClickHouse that remembers inserts by their token, and fails by a script.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;

/// What to do with one request.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    Keep,
    /// Store nothing and answer with this status and text.
    Refuse(u16, &'static str),
    /// Close the connection within the answer, without storing.
    BreakOff,
    /// Store, and close the connection within the answer.
    StoreAndBreakOff,
    /// Store, and never answer.
    StoreAndHang,
    /// Store and answer after so many milliseconds, unless the client has gone by then.
    Slow(u64),
}

/// One insert as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub sql: String,
    pub settings: HashMap<String, String>,
    pub body: Bytes,
}

#[derive(Debug, Default)]
struct Inner {
    script: VecDeque<Answer>,
    always: Option<Answer>,
    /// For inserts into one table.
    of_table: Option<(&'static str, Answer)>,
    /// Body bytes that are refused as unreadable.
    poison: Option<Bytes>,
    seen: Vec<Seen>,
    stored: Vec<Seen>,
    tokens: HashSet<String>,
}

/// The server; it ends with the test's runtime.
pub struct Fake {
    pub url: String,
    inner: Arc<Mutex<Inner>>,
}

impl Seen {
    pub fn token(&self) -> String {
        self.settings["insert_deduplication_token"].clone()
    }
}

impl Fake {
    /// Answers the first requests by the script, all others by storing.
    pub async fn start(script: impl IntoIterator<Item = Answer>) -> Fake {
        let inner = Arc::new(Mutex::new(Inner {
            script: script.into_iter().collect(),
            ..Inner::default()
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let app = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Fake { url, inner }
    }

    /// From now on every request that the script does not cover gets this answer.
    pub fn always(&self, answer: Answer) {
        self.inner.lock().expect("lock").always = Some(answer);
    }

    /// From now on requests without an answer of the script are stored again.
    pub fn recover(&self) {
        let mut inner = self.inner.lock().expect("lock");
        (inner.always, inner.of_table) = (None, None);
        inner.script.clear();
    }

    /// From now on inserts into this table get this answer.
    pub fn always_of(&self, table: &'static str, answer: Answer) {
        self.inner.lock().expect("lock").of_table = Some((table, answer));
    }

    /// From now on an insert with these bytes in it is refused as unreadable.
    pub fn poison(&self, bytes: Bytes) {
        self.inner.lock().expect("lock").poison = Some(bytes);
    }

    /// All requests.
    pub fn seen(&self) -> Vec<Seen> {
        self.inner.lock().expect("lock").seen.clone()
    }

    /// What was stored, once for each token.
    pub fn stored(&self) -> Vec<Seen> {
        self.inner.lock().expect("lock").stored.clone()
    }
}

async fn answer(State(inner): State<Arc<Mutex<Inner>>>, uri: Uri, body: Body) -> Response {
    let body = axum::body::to_bytes(body, usize::MAX)
        .await
        .expect("a whole body");
    let mut settings = parameters(uri.query().unwrap_or(""));
    let sql = settings.remove("query").unwrap_or_default();
    let seen = Seen {
        sql,
        settings,
        body,
    };
    let answer = {
        let mut inner = inner.lock().expect("lock");
        inner.seen.push(seen.clone());
        let of_table = inner.of_table.filter(|(table, _)| seen.sql.contains(table));
        let always = of_table.map(|(_, answer)| answer).or(inner.always);
        let poisoned = |poison: &Bytes| memchr::memmem::find(&seen.body, poison).is_some();
        match inner.poison.as_ref().is_some_and(poisoned) {
            true => Answer::Refuse(400, "Code: 27. DB::Exception: Cannot parse input"),
            false => inner.script.pop_front().or(always).unwrap_or(Answer::Keep),
        }
    };
    if let Answer::Slow(ms) = answer {
        tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
    }
    if !matches!(answer, Answer::Refuse(..) | Answer::BreakOff) {
        let mut inner = inner.lock().expect("lock");
        if inner.tokens.insert(seen.token()) {
            inner.stored.push(seen);
        }
    }
    match answer {
        Answer::Refuse(status, text) => Response::builder()
            .status(status)
            .body(Body::from(text))
            .expect("a response"),
        Answer::BreakOff | Answer::StoreAndBreakOff => {
            let broken = stream::iter([Err::<Bytes, _>(std::io::Error::other("broken"))]);
            Response::new(Body::from_stream(broken))
        }
        Answer::StoreAndHang => std::future::pending().await,
        Answer::Keep | Answer::Slow(_) => Response::new(Body::empty()),
    }
}

/// The parameters of a URL.
fn parameters(query: &str) -> HashMap<String, String> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    };
    query.split('&').map(pair).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().expect("a digit"), rest.next().expect("a digit")];
                let digits = std::str::from_utf8(&digits).expect("ASCII");
                u8::from_str_radix(digits, 16).expect("hexadecimal")
            }
            other => other,
        });
    }
    String::from_utf8(bytes).expect("UTF-8")
}
