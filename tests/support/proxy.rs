//! Stands between the collector and its ClickHouse, and does to requests what networks do.
//!
//! It looks at bytes, not at HTTP: what a client sends after an answer is the next request. Which
//! of them meet a fault is pseudo-random and the same in each run.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

/// What becomes of requests from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    Pass,
    /// Nobody is there: connections are closed at once, those that there are, too.
    Away,
    /// Inserts are answered with this status and text; the rest passes.
    RefuseInserts(u16, &'static str),
    /// One request in so many meets one of [`Fault`].
    Faults(u64),
}

/// What can become of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Answered with an error by somebody on the way.
    Error,
    /// Cut off while it is sent.
    Reset,
    /// Carried out, and the answer comes late.
    Delay,
    /// Carried out, and the answer never comes.
    LostAnswer,
}

const FAULTS: [Fault; 4] = [Fault::Error, Fault::Reset, Fault::Delay, Fault::LostAnswer];
/// Longest delay of an answer.
const DELAY_MAX_MS: u64 = 400;
/// A request that is answered by the proxy has come when nothing more comes for this long.
const PAUSE: Duration = Duration::from_millis(50);

/// A proxy in front of one address; it ends with the test.
#[derive(Debug)]
pub struct Proxy {
    pub address: SocketAddr,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    to: SocketAddr,
    plan: Mutex<Plan>,
    random: Mutex<u64>,
    requests: AtomicU64,
    /// As in [`FAULTS`].
    met: [AtomicU64; FAULTS.len()],
    open: Mutex<Vec<TcpStream>>,
}

/// One connection's exchange.
#[derive(Debug)]
struct Exchange {
    answered: AtomicBool,
    /// A [`Fault`] of the request under way.
    fault: AtomicU8,
}

impl Proxy {
    pub fn to(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let inner = Arc::new(Inner {
            to,
            plan: Mutex::new(Plan::Pass),
            random: Mutex::new(0x9E37_79B9_7F4A_7C15),
            requests: AtomicU64::new(0),
            met: Default::default(),
            open: Mutex::default(),
        });
        let accepting = Arc::clone(&inner);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if accepting.plan() == Plan::Away {
                    continue;
                }
                let inner = Arc::clone(&accepting);
                thread::spawn(move || inner.serve(client));
            }
        });
        Self { address, inner }
    }

    pub fn set(&self, plan: Plan) {
        *lock(&self.inner.plan) = plan;
        if plan == Plan::Away {
            for stream in lock(&self.inner.open).drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }

    /// Requests so far, and how many met which fault.
    pub fn report(&self) -> String {
        let met = FAULTS.iter().zip(&self.inner.met);
        let met: Vec<String> = met
            .map(|(fault, count)| format!("{fault:?} {}", count.load(Relaxed)))
            .collect();
        let requests = self.inner.requests.load(Relaxed);
        format!("{requests} requests, {}", met.join(", "))
    }
}

impl Inner {
    fn plan(&self) -> Plan {
        *lock(&self.plan)
    }

    fn roll(&self, n: u64) -> u64 {
        let mut state = lock(&self.random);
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state % n.max(1)
    }

    fn serve(self: Arc<Self>, client: TcpStream) {
        let Ok(server) = TcpStream::connect(self.to) else {
            return;
        };
        let (Ok(from_server), Ok(to_client)) = (server.try_clone(), client.try_clone()) else {
            return;
        };
        lock(&self.open).extend(client.try_clone());
        let exchange = Arc::new(Exchange {
            answered: AtomicBool::new(true),
            fault: AtomicU8::new(0),
        });
        let (inner, of_answers) = (Arc::clone(&self), Arc::clone(&exchange));
        thread::spawn(move || inner.answers(from_server, to_client, &of_answers));
        self.requests(client, server, &exchange);
    }

    /// From the client to the server.
    fn requests(&self, mut client: TcpStream, mut server: TcpStream, exchange: &Exchange) {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(n) = client.read(&mut bytes)
            && n > 0
        {
            let mut some = bytes.get(..n).unwrap_or_default();
            if exchange.answered.swap(false, Relaxed) {
                self.requests.fetch_add(1, Relaxed);
                let fault = match self.plan() {
                    Plan::RefuseInserts(status, text) if is_insert(some) => {
                        refuse(&mut client, status, text);
                        break;
                    }
                    Plan::Faults(one_in) => self.fault(one_in),
                    _ => Fault::None,
                };
                exchange.fault.store(fault as u8, Relaxed);
                match fault {
                    Fault::Error => {
                        refuse(&mut client, 503, "upstream connect error");
                        break;
                    }
                    Fault::Reset => some = some.get(..n / 2).unwrap_or_default(),
                    Fault::None | Fault::Delay | Fault::LostAnswer => {}
                }
            }
            if server.write_all(some).is_err() || some.len() < n {
                break;
            }
        }
        close(&client, &server);
    }

    /// From the server to the client.
    fn answers(&self, mut server: TcpStream, mut client: TcpStream, exchange: &Exchange) {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(n) = server.read(&mut bytes)
            && n > 0
        {
            let fault = exchange.fault.swap(Fault::None as u8, Relaxed);
            if fault == Fault::LostAnswer as u8 {
                break;
            }
            if fault == Fault::Delay as u8 {
                thread::sleep(Duration::from_millis(self.roll(DELAY_MAX_MS)));
            }
            exchange.answered.store(true, Relaxed);
            if client
                .write_all(bytes.get(..n).unwrap_or_default())
                .is_err()
            {
                break;
            }
        }
        close(&client, &server);
    }

    fn fault(&self, one_in: u64) -> Fault {
        if self.roll(one_in) != 0 {
            return Fault::None;
        }
        let which = self.roll(FAULTS.len() as u64) as usize;
        self.met[which].fetch_add(1, Relaxed);
        FAULTS[which]
    }
}

fn is_insert(head: &[u8]) -> bool {
    head.windows(6).any(|word| word == b"INSERT")
}

/// Answers a request in the server's place, after all of it has come.
fn refuse(client: &mut TcpStream, status: u16, text: &str) {
    let mut rest = vec![0; 64 << 10];
    let _ = client.set_read_timeout(Some(PAUSE));
    while client.read(&mut rest).is_ok_and(|n| n > 0) {}
    let length = text.len();
    let _ = write!(
        client,
        "HTTP/1.1 {status} Injected\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}"
    );
}

fn close(client: &TcpStream, server: &TcpStream) {
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
