//! Config: one YAML file and the environment, validated once, every mistake at once.
//!
//! Two levels: the layers ([`layers`], flat texts with their origin) and [`Config`], which the
//! program uses and which nothing downstream checks again. `keys` is the list of all there is.
//! Nothing here opens a socket or makes a directory: `lapwing check` runs only this.

mod alerts;
mod cross_check;
mod detection;
mod forward;
pub mod keys;
mod layers;
pub mod print;
mod privacy;
mod report;
mod value;
mod yaml;

use std::{
    net::SocketAddr,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use self::layers::{Setting, Settings};
pub use self::report::{At, Origin, Problem, Report};
pub use self::value::duration;
use crate::{
    detect::DetectorConfig,
    journal::{BatchConfig, Durability, JournalOptions},
    redact::{self, ContentPolicy},
    store::{
        Target,
        schema::{Layout, Retention},
    },
};

/// Everything the program needs to know, valid.
#[derive(Debug, Clone)]
pub struct Config {
    pub data_dir: PathBuf,
    pub grpc: Receiver,
    pub http: Receiver,
    pub cors_allowed_origins: Vec<String>,
    pub bearer_tokens: Vec<Secret>,
    pub in_flight_bytes_max: usize,
    pub admin: Admin,
    pub storage: Storage,
    pub batch: BatchConfig,
    pub journal: JournalOptions,
    pub retention: Retention,
    pub content: ContentPolicy,
    pub redaction: redact::Options,
    /// Fields of a call, and the attributes that are tried first for each.
    pub dimensions: Vec<(String, Vec<String>)>,
    /// Labels of the user's, and the attribute that each is read from.
    pub labels: Vec<(String, String)>,
    pub correlation_bytes_max: usize,
    pub correlation_age_max: Duration,
    pub attributes_file: Option<PathBuf>,
    pub failures_file: Option<PathBuf>,
    pub prices_file: Option<PathBuf>,
    pub detection: DetectorConfig,
    /// Where everything is passed on to.
    pub forward: Option<crate::forward::Options>,
    pub log_level: String,
    pub log_json: bool,
    pub telemetry_otlp_endpoint: Option<String>,
    pub alerts: crate::alert::Options,
    /// For `print-config`.
    pub settings: Settings,
}

/// The admin port.
#[derive(Debug, Clone)]
pub struct Admin {
    pub listen: SocketAddr,
    /// Names that it is asked by, beside addresses and `localhost`.
    pub hosts: Vec<String>,
    /// What changes something must carry it.
    pub token: Option<Secret>,
}

/// One OTLP listener.
#[derive(Debug, Clone, Copy)]
pub struct Receiver {
    pub listen: SocketAddr,
    pub body_bytes_max: usize,
}

/// Which ClickHouse.
#[derive(Debug, Clone)]
pub enum Storage {
    Embedded {
        listen: SocketAddr,
        library: Option<PathBuf>,
        memory_limit_bytes: u64,
        database: String,
    },
    Server(Target),
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// What a configuration is read from; tests pass their own.
pub struct Sources<'s> {
    /// The file, if any.
    pub file: Option<&'s Path>,
    pub variables: Vec<(String, String)>,
}

// === impl Secret ===

impl Secret {
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

// === impl Config ===

impl Config {
    /// Reads and validates; gives the warnings beside the configuration.
    pub fn load(sources: &Sources<'_>) -> Result<(Config, Vec<String>), Report> {
        let mut problems = Vec::new();
        let mut warnings = Vec::new();
        let settings = settings(sources, &mut problems, &mut warnings);
        let config = Reader {
            settings: &settings,
            problems: &mut problems,
            sources,
        }
        .config();
        cross_check::cross_check(&config, &settings, &mut problems, &mut warnings);
        if problems.is_empty() {
            return Ok((Config { settings, ..config }, warnings));
        }
        problems.sort_by_key(|p| match &p.origin {
            Origin::File(at) => (0, *at),
            _ => (1, At { line: 0, column: 0 }),
        });
        Err(Report {
            file: sources.file.map(Path::to_owned),
            problems,
        })
    }

    /// Where and how the tables are made.
    pub fn layout(&self) -> Layout {
        let (database, cluster) = match &self.storage {
            Storage::Embedded { database, .. } => (database.as_str(), None),
            Storage::Server(target) => (target.database.as_str(), target.cluster.clone()),
        };
        // The journal lets go of what one server has; a cluster has replicas to fall back on.
        let fsync = cluster.is_none();
        Layout {
            cluster,
            fsync,
            retention: self.retention,
            ..Layout::new(database)
        }
    }
}

fn settings(
    sources: &Sources<'_>,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
) -> Settings {
    let mut settings = layers::defaults();
    let lookup = |name: &str| {
        sources
            .variables
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.clone())
    };
    if let Some(path) = sources.file {
        match std::fs::read_to_string(path) {
            Ok(text) => {
                let root = yaml::parse(&text, &lookup, problems);
                layers::file(&root, &mut settings, problems);
            }
            Err(error) => problems.push(Problem {
                origin: Origin::Default,
                key: String::new(),
                text: format!("cannot read {}: {error}", path.display()),
            }),
        }
    }
    layers::environment(
        sources.variables.iter().cloned(),
        &mut settings,
        problems,
        warnings,
    );
    settings
}

/// Turns checked texts into values; what is wrong was reported by the layers, or is here.
struct Reader<'r> {
    settings: &'r Settings,
    problems: &'r mut Vec<Problem>,
    sources: &'r Sources<'r>,
}

impl Reader<'_> {
    fn config(&mut self) -> Config {
        let defaults = BatchConfig::default();
        let data_dir = self
            .path("data_dir")
            .unwrap_or_else(|| default_data_dir(self.sources));
        Config {
            journal: JournalOptions::in_data_dir(
                &data_dir,
                self.text("journal.durability")
                    .parse()
                    .unwrap_or(Durability::Disk),
                self.bytes("journal.max_bytes") as u64,
            ),
            data_dir,
            grpc: Receiver {
                listen: self.address("receivers.otlp.grpc.listen"),
                body_bytes_max: self.bytes("receivers.otlp.grpc.max_message_bytes"),
            },
            http: Receiver {
                listen: self.address("receivers.otlp.http.listen"),
                body_bytes_max: self.bytes("receivers.otlp.http.max_body_bytes"),
            },
            cors_allowed_origins: self.items("receivers.otlp.http.cors.allowed_origins"),
            bearer_tokens: self.tokens("receivers.otlp.auth.bearer_tokens_file"),
            in_flight_bytes_max: self.bytes("receivers.otlp.max_in_flight_bytes"),
            admin: self.admin(),
            storage: self.storage(),
            batch: BatchConfig {
                max_rows: value::count(self.text("storage.batch.max_rows"))
                    .unwrap_or(defaults.max_rows),
                max_bytes: self.bytes("storage.batch.max_bytes"),
                max_delay: self.duration("storage.batch.max_delay"),
                ..defaults
            },
            retention: Retention {
                traces_days: self.days("storage.retention.traces"),
                logs_days: self.days("storage.retention.logs"),
                calls_days: self.days("storage.retention.calls"),
                content_days: self.days("storage.retention.content"),
                ..Retention::default()
            },
            content: self.content(),
            redaction: self.redaction(),
            dimensions: self.dimensions(),
            labels: self.labels(),
            correlation_bytes_max: self.bytes("correlation.max_bytes"),
            correlation_age_max: self.duration("correlation.max_age"),
            attributes_file: self.path("rules.attributes_file"),
            failures_file: self.path("rules.failures_file"),
            prices_file: self.path("rules.prices_file"),
            detection: self.detection(),
            forward: self.forward(),
            log_level: self.text("telemetry.log_level").to_owned(),
            log_json: self.text("telemetry.log_format") == "json",
            telemetry_otlp_endpoint: self
                .setting("telemetry.otlp_endpoint")
                .map(|s| s.text.clone()),
            alerts: self.alerts(),
            settings: Settings::new(),
        }
    }

    fn admin(&mut self) -> Admin {
        // Where people are led to is a name of ours.
        let linked = reqwest::Url::parse(self.text("alerts.links.admin")).ok();
        let linked = linked.and_then(|url| Some(url.host_str()?.to_owned()));
        let mut hosts = self.items("admin.hosts");
        hosts.extend(linked);
        Admin {
            listen: self.address("admin.listen"),
            hosts,
            token: self.tokens("admin.bearer_token_file").into_iter().next(),
        }
    }

    fn storage(&mut self) -> Storage {
        if self.text("storage.mode") != "server" {
            return Storage::Embedded {
                listen: self.address("storage.embedded.listen"),
                library: self.path("storage.embedded.library"),
                memory_limit_bytes: self.bytes("storage.embedded.memory_limit") as u64,
                database: self.text("storage.clickhouse.database").to_owned(),
            };
        }
        let url = self.text("storage.clickhouse.url").to_owned();
        if url.is_empty() {
            let mode = self.settings.get("storage.mode");
            self.problems.push(Problem {
                origin: mode.map_or(Origin::Default, |s| s.origin.clone()),
                key: "storage.clickhouse.url".to_owned(),
                text: "is missing: `storage.mode: server` needs the server's address".to_owned(),
            });
        }
        let password = match self.secret_file("storage.clickhouse.password_file") {
            Some(password) => password,
            None => self.text("storage.clickhouse.password").to_owned(),
        };
        Storage::Server(Target {
            url,
            database: self.text("storage.clickhouse.database").to_owned(),
            user: self.text("storage.clickhouse.user").to_owned(),
            password,
            cluster: self
                .setting("storage.clickhouse.cluster")
                .map(|s| s.text.clone()),
            ca_file: self.path("storage.clickhouse.ca_file"),
        })
    }

    fn setting(&self, path: &str) -> Option<&Setting> {
        self.settings.get(path)
    }

    fn text(&self, path: &str) -> &str {
        self.setting(path).map_or("", |s| &s.text)
    }

    fn items(&self, path: &str) -> Vec<String> {
        let items = self
            .setting(path)
            .map(|s| s.items.clone())
            .unwrap_or_default();
        items.into_iter().filter(|item| !item.is_empty()).collect()
    }

    fn path(&self, path: &str) -> Option<PathBuf> {
        self.setting(path).map(|s| PathBuf::from(&s.text))
    }

    // The layers let no value through that does not parse: the fallbacks below are never used.

    fn address(&self, path: &str) -> SocketAddr {
        value::address(self.text(path)).unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    fn bytes(&self, path: &str) -> usize {
        let bytes = value::size(self.text(path)).unwrap_or(1);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    fn duration(&self, path: &str) -> Duration {
        value::duration(self.text(path)).unwrap_or_default()
    }

    fn days(&self, path: &str) -> u32 {
        value::days(self.text(path)).unwrap_or(1)
    }

    fn secret_file(&mut self, path: &str) -> Option<String> {
        let setting = self.settings.get(path)?;
        match std::fs::read_to_string(&setting.text) {
            Ok(text) => Some(text.trim_end_matches(['\n', '\r']).to_owned()),
            Err(error) => {
                self.problems.push(Problem {
                    origin: setting.origin.clone(),
                    key: path.to_owned(),
                    text: format!("cannot be read: {}: {error}", setting.text),
                });
                None
            }
        }
    }

    fn tokens(&mut self, path: &str) -> Vec<Secret> {
        let Some(text) = self.secret_file(path) else {
            return Vec::new();
        };
        let tokens: Vec<Secret> = text
            .lines()
            .map(str::trim)
            .filter(|l| !l.is_empty() && !l.starts_with('#'))
            .map(|l| Secret(l.to_owned()))
            .collect();
        // No token at all would mean that nobody is asked for one.
        if tokens.is_empty() {
            self.problems.push(Problem {
                origin: self
                    .setting(path)
                    .map_or(Origin::Default, |s| s.origin.clone()),
                key: path.to_owned(),
                text: "has no token: write one a line, or leave the key out".to_owned(),
            });
        }
        tokens
    }
}

/// `/var/lib/lapwing` for a service, the user's state directory for a person.
fn default_data_dir(sources: &Sources<'_>) -> PathBuf {
    let service = Path::new("/var/lib/lapwing");
    // Writable by its owner, who must be us: the one case in which it was made for this program.
    let owner = |path: &Path| std::fs::metadata(path).ok().map(|meta| meta.uid());
    let ours = service.is_dir() && owner(service) == owner(Path::new("/proc/self"));
    let of = |name: &str| {
        sources
            .variables
            .iter()
            .find(|(n, v)| n == name && !v.is_empty())
            .map(|(_, v)| PathBuf::from(v))
    };
    if ours {
        return service.to_owned();
    }
    of("XDG_STATE_HOME")
        .or_else(|| of("HOME").map(|home| home.join(".local/state")))
        .map_or_else(|| service.to_owned(), |state| state.join("lapwing"))
}

#[cfg(test)]
mod tests;
