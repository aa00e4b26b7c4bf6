//! The programs below `tests/clients`: a provider, and applications that call it under a real
//! instrumentation and send what they saw with a real exporter.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Deserialize;
use tempfile::TempDir;

use super::{process::Process, wait::until};

const MOCK_START_TIME_MAX: Duration = Duration::from_secs(20);

/// A model provider on a free port.
#[derive(Debug)]
pub struct Provider {
    _process: Process,
    _dir: TempDir,
    url: String,
}

/// An application: which program, under which instrumentation, sent how.
#[derive(Debug, Clone, Copy)]
pub struct App {
    runtime: Runtime,
    instrumentation: &'static str,
    /// How this instrumentation is told to record content.
    content: &'static str,
    /// As in OTEL_EXPORTER_OTLP_PROTOCOL.
    protocol: &'static str,
}

#[derive(Debug, Clone, Copy)]
enum Runtime {
    /// A virtual environment by its name.
    Python(&'static str),
    Node,
}

/// What an application prints at its end.
#[derive(Debug, Deserialize)]
pub struct Sent {
    /// Unix time before the exporter was told to send.
    pub began_ns: u64,
    /// Unix time when everything was answered.
    pub ended_ns: u64,
    pub flushed: bool,
    /// `ok` or the HTTP status, per call.
    pub calls: Vec<String>,
}

impl Provider {
    /// Starts it and waits until it says where it listens.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut command = Command::new("python3");
        command.arg(clients_dir().join("mock_llm.py"));
        let process = Process::start("mock_llm", &mut command, dir.path());
        let url = until("the mock provider", MOCK_START_TIME_MAX, || {
            let log = process.log();
            let line = log.lines().find_map(|l| l.strip_prefix("listening on "));
            line.map(str::to_owned).ok_or(log)
        });
        Self {
            _process: process,
            _dir: dir,
            url,
        }
    }
}

impl App {
    /// The official Python instrumentation that sends content as log events, over gRPC.
    pub const OPENAI_V2_GRPC: Self = Self {
        runtime: Runtime::Python("previous"),
        instrumentation: "openai-v2",
        content: "true",
        protocol: "grpc",
    };
    /// Its successor, content on the span, over HTTP with protobuf.
    pub const GENAI_OPENAI_HTTP: Self = Self {
        runtime: Runtime::Python("current"),
        instrumentation: "genai-openai",
        content: "span_only",
        protocol: "http/protobuf",
    };
    /// OpenInference for Python, over HTTP with protobuf.
    pub const OPENINFERENCE_HTTP: Self = Self {
        runtime: Runtime::Python("current"),
        instrumentation: "openinference",
        content: "true",
        protocol: "http/protobuf",
    };
    /// The official Node instrumentation, as OTLP/JSON.
    pub const NODE_OFFICIAL_JSON: Self = Self {
        runtime: Runtime::Node,
        instrumentation: "official",
        content: "true",
        protocol: "http/json",
    };
    /// OpenInference for Node, as OTLP/JSON.
    pub const NODE_OPENINFERENCE_JSON: Self = Self {
        runtime: Runtime::Node,
        instrumentation: "openinference",
        content: "true",
        protocol: "http/json",
    };

    /// The endpoint to configure, by where a collector listens.
    pub fn endpoint(self, grpc: SocketAddr, http: SocketAddr) -> String {
        match self.protocol {
            "grpc" => format!("http://{grpc}"),
            _ => format!("http://{http}"),
        }
    }

    /// Makes `calls` against `provider` and sends what was recorded to `endpoint` as `service`.
    ///
    /// # Panics
    /// When the application fails or could not send everything.
    pub fn run(self, provider: &Provider, endpoint: &str, service: &str, calls: &[&str]) -> Sent {
        let installed = install();
        let mut command = match self.runtime {
            Runtime::Python(environment) => {
                let bin = installed.join(format!("python-{environment}")).join("bin");
                let mut command = Command::new(bin.join("opentelemetry-instrument"));
                command.arg(bin.join("python"));
                command.arg(clients_dir().join("python/send_calls.py"));
                command
            }
            Runtime::Node => {
                let mut command = Command::new("node");
                command.arg(installed.join("node/send_calls.mjs"));
                command
            }
        };
        command.arg(self.instrumentation).args(calls);
        // Only what a user sets.
        let output = command
            .env("OPENAI_BASE_URL", format!("{}/v1", provider.url))
            .env("OTEL_SERVICE_NAME", service)
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", self.protocol)
            .env("OTEL_LOGS_EXPORTER", "otlp")
            .env(
                "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT",
                self.content,
            )
            // The program picks its instrumentation: several are installed under one name.
            .env("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "openai")
            .output()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{self:?} ended with {}:\n{errors}",
            output.status
        );
        let sent: Sent = serde_json::from_slice(&output.stdout).expect("one line of JSON");
        assert!(
            sent.flushed,
            "{self:?} could not send everything:\n{errors}"
        );
        assert_eq!(
            sent.calls.len(),
            calls.len(),
            "{self:?} made other calls:\n{errors}"
        );
        sent
    }
}

/// Unix time in nanoseconds, as the applications tell it.
pub fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.expect("a clock after 1970").as_nanos()).expect("a clock before 2554")
}

/// A program of `tests/clients` in a virtual environment by its name.
pub fn python(environment: &str, program: &str) -> Command {
    let bin = install().join(format!("python-{environment}")).join("bin");
    let mut command = Command::new(bin.join("python"));
    command.arg(clients_dir().join(program));
    command
}

/// Installs the clients once, where they are kept between runs, and says where.
fn install() -> &'static Path {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let status = Command::new(clients_dir().join("setup.sh")).status();
        let status = status.expect("tests/clients/setup.sh to start");
        assert!(
            status.success(),
            "tests/clients/setup.sh ended with {status}"
        );
        Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-clients")
    })
}

fn clients_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}
