//! The real binary, serving on free ports from a directory that goes away with the test.

use std::{
    fmt::Write as _,
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Command, Output},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use serde::de::DeserializeOwned;
use tempfile::TempDir;

use super::{
    process::Process,
    wait::{free_addresses, until},
};

/// The first start on a machine fetches the engine library.
const READY_TIME_MAX: Duration = Duration::from_secs(300);
/// A row is visible within seconds; this only ends a test whose rows never come.
const ROWS_TIME_MAX: Duration = Duration::from_secs(60);
/// For one answer of the admin API.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// A serving collector with an embedded store. Dropping it stops it and deletes its data.
#[derive(Debug)]
pub struct Lapwing {
    // The process is dropped, and so ended, before its directory.
    process: Process,
    dir: TempDir,
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    pub admin: SocketAddr,
    /// The read-only ClickHouse door.
    pub clickhouse: SocketAddr,
}

impl Lapwing {
    /// The one of these tests: each costs a second and 200 MB. It ends with the last that holds it.
    pub fn shared(slot: &Mutex<Weak<Self>>) -> Arc<Self> {
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        slot.upgrade().unwrap_or_else(|| {
            let lapwing = Arc::new(Self::start());
            *slot = Arc::downgrade(&lapwing);
            lapwing
        })
    }

    /// Starts `lapwing serve` and waits until it is ready to take spans.
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// The same with more lines of configuration (YAML, top level).
    pub fn start_with(more_config: &str) -> Self {
        let storage =
            |door| format!("storage: {{mode: embedded, embedded: {{listen: \"{door}\"}}}}");
        let mut lapwing = Self::launch(storage, more_config);
        lapwing.wait_until_ready();
        lapwing
    }

    /// Starts it and waits for nothing. `storage` makes that line of the configuration; it is
    /// given a free address for the read-only door.
    pub fn launch(storage: impl FnOnce(SocketAddr) -> String, more_config: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let [grpc, http, admin, clickhouse] = free_addresses();
        let config = format!(
            "data_dir: {data}\n\
             receivers: {{otlp: {{grpc: {{listen: \"{grpc}\"}}, http: {{listen: \"{http}\"}}}}}}\n\
             admin: {{listen: \"{admin}\"}}\n\
             {storage}\n\
             {more_config}",
            data = dir.path().join("data").display(),
            storage = storage(clickhouse),
        );
        fs::write(dir.path().join("lapwing.yaml"), config).expect("the configuration written");
        let process = Self::serve(&dir);
        Self {
            process,
            dir,
            grpc,
            http,
            admin,
            clickhouse,
        }
    }

    fn serve(dir: &TempDir) -> Process {
        let config = dir.path().join("lapwing.yaml");
        let mut command = Command::new(env!("CARGO_BIN_EXE_lapwing"));
        command.arg("serve").arg("--config").arg(config);
        Process::start("lapwing", &mut command, dir.path())
    }

    /// Waits until `/readyz` says so.
    ///
    /// # Panics
    /// When the process ends instead, or never gets ready.
    pub fn wait_until_ready(&mut self) {
        let admin = self.admin;
        let process = &mut self.process;
        until("lapwing to be ready", READY_TIME_MAX, || {
            if let Some(status) = process.ended() {
                panic!("lapwing ended with {status}");
            }
            match http_status(admin, "/readyz") {
                Ok(200) => Ok(()),
                Ok(status) => Err(format!("/readyz answers {status}")),
                Err(error) => Err(format!("/readyz: {error}")),
            }
        });
    }

    /// The running process, to look at or to kill.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Bytes of memory that the collector itself (not its engine) has resident.
    pub fn rss_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most that was resident so far.
    pub fn peak_rss_bytes(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, line: &str) -> u64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = fs::read_to_string(path).expect("the state of the process");
        let line = status.lines().find_map(|l| l.strip_prefix(line));
        let kib = line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok());
        kib.expect("a size in kB") * 1024
    }

    /// A file in the directory of the configuration, which goes away with it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Waits until everything acknowledged is in the store: an acknowledgement means the journal.
    pub fn settle(&self) {
        until("the journal to be delivered", ROWS_TIME_MAX, || {
            // Who does not answer has ended, and delivers nothing more.
            match self.metric("lapwing_journal_queued_rows") {
                Ok(0.0) | Err(_) => Ok(()),
                Ok(rows) => Err(format!("{rows} rows")),
            }
        });
    }

    /// A metric, added up over its labels.
    pub fn metric(&self, name: &str) -> Result<f64, String> {
        let page = http_get(self.admin, "/metrics")?;
        let of_metric = |line: &&str| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
        };
        let lines = page.lines().filter(of_metric);
        let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(values.sum())
    }

    /// The one value of a query with one row and one column, after everything was delivered.
    pub fn value(&self, sql: &str) -> Result<String, String> {
        self.settle();
        let text = self.try_query(&format!("{sql} FORMAT TSV"))?;
        Ok(text.trim().to_owned())
    }

    /// Starts it again on the same data and waits for nothing.
    pub fn launch_again(&mut self) {
        self.process = Self::serve(&self.dir);
    }

    /// Starts it again on the same data after it has ended.
    pub fn start_again(&mut self) {
        self.launch_again();
        self.wait_until_ready();
    }

    /// Where this collector keeps its data.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Runs another command with the configuration of this one.
    pub fn command(&self, arguments: &[&str]) -> std::io::Result<Output> {
        Command::new(env!("CARGO_BIN_EXE_lapwing"))
            .args(arguments)
            .arg("--config")
            .arg(self.file("lapwing.yaml"))
            .output()
    }

    /// What `lapwing query` prints for `sql`, or why it failed.
    pub fn try_query(&self, sql: &str) -> Result<String, String> {
        let output = self.command(&["query", sql]);
        let output = output.map_err(|error| error.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(format!("{}: {}", output.status, text(&output.stderr))),
        }
    }

    /// The rows that `sql` selects, one `T` each, after everything was delivered.
    pub fn rows<T: DeserializeOwned>(&self, sql: &str) -> Result<Vec<T>, String> {
        self.settle();
        let text = self.try_query(&format!("{sql} FORMAT JSONEachRow"))?;
        text.lines()
            .map(|line| serde_json::from_str(line).map_err(|e| format!("{e} in {line}")))
            .collect()
    }

    /// The rows that `sql` selects, once there are at least `count`.
    pub fn wait_for_rows<T: DeserializeOwned>(&self, count: usize, sql: &str) -> Vec<T> {
        let what = format!("{count} rows of {sql}");
        until(&what, ROWS_TIME_MAX, || {
            let rows = self.rows(sql)?;
            match rows.len() {
                n if n >= count => Ok(rows),
                n => Err(format!("{n} rows")),
            }
        })
    }
}

/// The status of one GET, without a client library.
pub fn http_status(address: SocketAddr, path: &str) -> Result<u16, String> {
    let answer = http_get(address, path)?;
    answer
        .split_whitespace()
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| "no HTTP status line".to_owned())
}

/// The whole answer to one GET.
pub fn http_get(address: SocketAddr, path: &str) -> Result<String, String> {
    let io = |error: std::io::Error| error.to_string();
    let mut socket = TcpStream::connect_timeout(&address, ANSWER_TIME_MAX).map_err(io)?;
    socket.set_read_timeout(Some(ANSWER_TIME_MAX)).map_err(io)?;
    let mut request = String::new();
    let _ = write!(
        request,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).map_err(io)?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).map_err(io)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
