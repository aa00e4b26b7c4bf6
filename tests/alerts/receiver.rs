//! A receiver that answers by a script and remembers what it was sent.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use crate::support::wait::until;

/// How one request is answered.
#[derive(Debug, Clone)]
pub enum Answer {
    Status(u16),
    With(u16, &'static str, String),
    /// The connection is reset.
    Reset,
    /// Nothing is answered, for longer than anybody waits.
    Silence,
    /// 200 after a while.
    Late(Duration),
}

/// One request.
#[derive(Debug, Clone)]
pub struct Seen {
    pub at: Instant,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

type Script = dyn Fn(usize) -> Answer + Send + Sync;

/// It listens until the test ends.
pub struct FakeReceiver {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl FakeReceiver {
    /// `script` is given the number of the request, from 0.
    pub fn start(script: impl Fn(usize) -> Answer + Send + Sync + 'static) -> FakeReceiver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (shared, script): (_, Arc<Script>) = (Arc::clone(&seen), Arc::new(script));
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (shared, script) = (Arc::clone(&shared), Arc::clone(&script));
                std::thread::spawn(move || serve(socket, &shared, &*script));
            }
        });
        FakeReceiver { address, seen }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// What was seen once there are at least `count` requests.
    pub fn wait_for(&self, count: usize) -> Vec<Seen> {
        until(
            &format!("{count} requests"),
            Duration::from_secs(60),
            || {
                let seen = self.seen();
                match seen.len() {
                    n if n >= count => Ok(seen),
                    n => Err(format!("{n} requests")),
                }
            },
        )
    }
}

fn serve(socket: TcpStream, seen: &Mutex<Vec<Seen>>, script: &Script) {
    let mut reader = BufReader::new(socket.try_clone().expect("the socket twice"));
    let mut socket = socket;
    while let Some(request) = read(&mut reader) {
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(request);
            seen.len() - 1
        };
        let (status, header) = match script(number) {
            Answer::Status(status) => (status, String::new()),
            Answer::With(status, name, value) => (status, format!("{name}: {value}\r\n")),
            Answer::Late(pause) => {
                std::thread::sleep(pause);
                (200, String::new())
            }
            Answer::Silence => {
                std::thread::sleep(Duration::from_secs(30));
                return;
            }
            Answer::Reset => {
                // Closed with bytes unread and nothing said: the peer sees a broken connection.
                let _ = socket.shutdown(std::net::Shutdown::Both);
                return;
            }
        };
        let answer = format!("HTTP/1.1 {status} Scripted\r\n{header}content-length: 2\r\n\r\nok");
        if socket.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Seen> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length")?.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Seen {
        at: Instant::now(),
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}
