//! The command line: which commands there are, what they need, and how the program ends.
//!
//! One file per command below. Standard output is for what was asked for and nothing else;
//! everything said about it goes to standard error. Exit codes: 0 done, 1 failed, 2 wrong usage or
//! configuration. A reader that goes away (`lapwing query ... | head`) is no failure.

mod alert;
mod backtest;
mod check;
mod classify;
mod demo;
pub mod detect;
mod doctor;
pub mod enrich;
mod health;
mod journal;
mod knowledge;
mod logging;
mod own_numbers;
mod prices;
mod print_config;
mod query;
mod schema;
mod serve;
mod target;
mod top;

use std::{
    future::Future,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::LazyLock,
};

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};

use crate::{
    config::{Config, Report, Sources, Storage},
    redact::Redactor,
};

/// Wrong usage or configuration.
const EXIT_USAGE: u8 = 2;
/// The version, and the commit where the build named one in `LAPWING_COMMIT`.
static VERSION: LazyLock<String> = LazyLock::new(|| match option_env!("LAPWING_COMMIT") {
    Some(commit) => format!("{} ({commit})", env!("CARGO_PKG_VERSION")),
    None => env!("CARGO_PKG_VERSION").to_owned(),
});

/// An OpenTelemetry collector for LLM calls: what failed and why, which model answered, what it cost.
#[derive(Debug, Parser)]
#[command(
    name = "lapwing",
    version = VERSION.as_str(),
    after_help = "Without a command it serves; without a configuration it listens on localhost (4317, 4318) and \
                  keeps its data in an embedded store.\n\
                  Exit codes: 0 done, 1 failed, 2 wrong usage or configuration."
)]
pub struct Cli {
    /// The configuration, a YAML file; variables named LAPWING_... go over it
    #[arg(
        short,
        long,
        global = true,
        env = "LAPWING_CONFIG",
        value_name = "FILE"
    )]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Receive and store (the default)
    Serve,
    /// Check the configuration and name every mistake in it
    Check,
    /// Print the configuration in force, without secrets, and where its values come from
    PrintConfig {
        /// Print a table of all keys instead
        #[arg(long)]
        reference: bool,
    },
    /// Read OTLP bodies from files and print one JSON line for each model call
    Enrich {
        /// Traces and logs, protobuf or JSON, compressed with gzip or not
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Read errors as JSON lines from standard input and print the class of each
    Classify {
        /// Failure rules to try before the built-in ones
        #[arg(long, value_name = "FILE")]
        rules: Option<PathBuf>,
        /// Print all rules that hold with what they matched, the one that decided first
        #[arg(long)]
        explain: bool,
    },
    /// Look into the price table and bring public lists into its form
    Prices {
        #[command(subcommand)]
        action: prices::PricesAction,
    },
    /// Find the incidents in a stream of calls and evaluations, one JSON object a line
    Detect {
        /// The stream; `-` is standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Work the failure class out even where a line tells it
        #[arg(long)]
        strip_class: bool,
    },
    /// Find the incidents that the settings, or others, would have raised over the stored past
    Backtest {
        #[command(flatten)]
        options: backtest::Options,
    },
    /// Run one SQL statement in the store and print its result
    Query { sql: String },
    /// Alerts of the running collector: list, show, silence, acknowledge, test
    Alert {
        #[command(subcommand)]
        action: alert::Action,
    },
    /// Print the tables as SQL, or make them
    Schema { action: SchemaAction },
    /// Send a realistic stream with incidents to a running collector
    Demo {
        #[command(flatten)]
        options: demo::Options,
    },
    /// Find out why calls do not show up; exit code 1 if something is wrong
    Doctor {
        #[command(flatten)]
        options: doctor::Options,
    },
    /// Show flow, failing calls and open alerts in the terminal
    Top {
        /// Print once and end
        #[arg(long)]
        once: bool,
    },
    /// Fetch the engine library into the cache, as the first start would, and print where it is
    FetchEngine,
    /// Is the collector ready? Exit code 0 if it is; for health checks
    Health,
    /// Look at what is acknowledged and not in the store yet
    Journal { action: JournalAction },
    /// The process that runs the embedded engine; started by `serve`
    #[command(hide = true)]
    Engine,
}

/// What to do with the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaAction {
    /// Print the statements
    Print,
    /// Bring the store to the current schema
    Apply,
    /// Print what each table and column is, as Markdown
    Reference,
}

/// What to do with the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum JournalAction {
    /// Print what waits, and what is in quarantine
    Status,
    /// Read every byte and name what is damaged
    Verify,
    /// Send what is in quarantine to the store again
    Replay,
}

/// Why a command did not do what was asked for.
#[derive(Debug)]
enum Failure {
    Config(Report),
    Failed(anyhow::Error),
    /// Nobody reads our output any more.
    ReaderGone,
}

/// Runs the command and says what went wrong.
pub fn run(cli: Cli) -> ExitCode {
    // `LAPWING_CONFIG=` is no configuration.
    let file = cli.config.filter(|file| !file.as_os_str().is_empty());
    let done = dispatch(cli.command.unwrap_or(Command::Serve), file.as_deref());
    match done {
        Ok(()) | Err(Failure::ReaderGone) => ExitCode::SUCCESS,
        Err(Failure::Config(report)) => {
            say(&report.to_string());
            ExitCode::from(EXIT_USAGE)
        }
        Err(Failure::Failed(error)) => {
            say(&format!("error: {}", told(&error)));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command, config_file: Option<&Path>) -> Result<(), Failure> {
    match command {
        Command::Serve => {
            let (config, warnings) = load(config_file)?;
            block_on(async {
                let telemetry = logging::start(&config)?;
                warnings
                    .iter()
                    .for_each(|warning| tracing::warn!("{warning}"));
                let served = serve::run(config, config_file.map(Path::to_owned)).await;
                telemetry.flush().await;
                served
            })
        }
        Command::Check => check::run(config_file, &load(config_file)?.1),
        Command::PrintConfig { reference } => print_config::run(config_file, reference),
        Command::Enrich { files } => {
            let (config, _) = load(config_file)?;
            let knowledge = knowledge::load(&config)?;
            let redactor = Redactor::new(config.redaction.clone());
            let mut out = io::stdout().lock();
            let (table, rules) = (&knowledge.attributes, &knowledge.rules);
            match enrich::run(&files, table, rules, &redactor, &mut out) {
                Err(enrich::EnrichError::Write(e)) if e.kind() == io::ErrorKind::BrokenPipe => {
                    Err(Failure::ReaderGone)
                }
                done => Ok(done.map_err(anyhow::Error::new)?),
            }
        }
        Command::Classify { rules, explain } => {
            Ok(classify::run(load(config_file)?.0, rules, explain)?)
        }
        Command::Detect { file, strip_class } => {
            let (config, _) = load(config_file)?;
            let knowledge = knowledge::load(&config)?;
            let options = detect::Options { strip_class };
            let mut out = io::BufWriter::new(io::stdout().lock());
            let detection = config.detection.clone();
            let done = detect::run(&file, options, detection, &knowledge.rules, &mut out);
            match done.and_then(|()| Ok(out.flush()?)) {
                Err(detect::DetectError::Write(e)) if e.kind() == io::ErrorKind::BrokenPipe => {
                    Err(Failure::ReaderGone)
                }
                done => Ok(done.map_err(anyhow::Error::new)?),
            }
        }
        Command::Backtest { options } => {
            let (config, _) = load_with(config_file, options.variables())?;
            block_on_command(async move {
                let mut out = io::BufWriter::new(io::stdout());
                backtest::run(&config, &options, &mut out).await
            })
        }
        Command::Prices { action } => Ok(prices::run(
            &load(config_file)?.0,
            &action,
            &mut io::stdout().lock(),
        )?),
        Command::Query { sql } => {
            let target = target::of(&load(config_file)?.0)?;
            block_on(async move { Ok(query::run(&target, &sql).await?) })
        }
        Command::Alert { action } => {
            let (config, _) = load(config_file)?;
            block_on_command(async move { alert::run(&config, action).await })
        }
        Command::Schema {
            action: SchemaAction::Reference,
        } => print(&crate::store::schema::reference()),
        Command::Schema { action } => block_on(apply_schema(load(config_file)?.0, action)),
        Command::Demo { options } => {
            let (config, _) = load(config_file)?;
            block_on(async move { demo::run(&config, options).await })
        }
        Command::Doctor { options } => {
            let (config, warnings) = load(config_file)?;
            block_on_command(async move { doctor::run(&config, &warnings, &options).await })
        }
        Command::Top { once } => {
            let target = target::of(&load(config_file)?.0)?;
            block_on(async move { top::run(&target, once).await })
        }
        Command::Health => block_on(health::run(load(config_file)?.0.admin.listen)),
        Command::Journal { action } => {
            let (config, _) = load(config_file)?;
            match action {
                JournalAction::Status => journal::status(&config),
                JournalAction::Verify => journal::verify(&config),
                JournalAction::Replay => block_on(async move { journal::replay(&config).await }),
            }
        }
        Command::FetchEngine => {
            let (config, _) = load(config_file)?;
            let mut library = String::new();
            block_on(async {
                library = fetch_engine(&config).await?;
                Ok(())
            })?;
            print(&library)
        }
        // No runtime here: the child builds what it needs after the engine is set up.
        Command::Engine => Ok(crate::store::embedded::run_child().map_err(anyhow::Error::new)?),
    }
}

async fn apply_schema(config: Config, action: SchemaAction) -> anyhow::Result<()> {
    let layout = config.layout();
    let (target, action) = match action {
        SchemaAction::Print | SchemaAction::Reference => (
            crate::store::Target::plain("http://unused", &layout.database),
            schema::Action::Print,
        ),
        SchemaAction::Apply => (target::of(&config)?, schema::Action::Apply),
    };
    Ok(schema::run(&target, &layout, action).await?)
}

/// The engine library's path, as a line.
async fn fetch_engine(config: &Config) -> anyhow::Result<String> {
    let own = match &config.storage {
        Storage::Embedded { library, .. } => library.as_deref(),
        Storage::Server(_) => None,
    };
    let library = crate::store::embedded::fetch::library(own).await?;
    Ok(format!("{}\n", library.display()))
}

/// The configuration of this process, and its warnings.
fn load(file: Option<&Path>) -> Result<(Config, Vec<String>), Failure> {
    load_with(file, Vec::new())
}

/// The same with variables of a command's own, which win.
fn load_with(
    file: Option<&Path>,
    own: Vec<(String, String)>,
) -> Result<(Config, Vec<String>), Failure> {
    let inherited = variables().into_iter();
    let inherited = inherited.filter(|(name, _)| own.iter().all(|(other, _)| other != name));
    let variables = inherited.chain(own.clone()).collect();
    Config::load(&Sources { file, variables }).map_err(Failure::Config)
}

/// The environment; what is not UTF-8 can be none of our settings.
fn variables() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

fn block_on(command: impl Future<Output = anyhow::Result<()>>) -> Result<(), Failure> {
    block_on_command(async { Ok(command.await?) })
}

fn block_on_command(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.context("cannot start the threads of the runtime")?;
    runtime.block_on(command)
}

/// What went wrong and why; a cause that the sentence before it has told already is left out.
fn told(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |told, cause| {
        let cause = cause.to_string();
        match told.as_str() {
            "" => cause,
            said if said.contains(&cause) => told,
            _ => told + ": " + &cause,
        }
    })
}

/// Writes what was asked for.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Err(Failure::ReaderGone),
        Err(e) => {
            let error = anyhow::Error::new(e).context("cannot write to standard output");
            Err(Failure::Failed(error))
        }
    }
}

/// Writes a line to standard error; if that is closed there is nobody to tell.
fn say(text: &str) {
    _ = writeln!(io::stderr(), "{}", text.trim_end());
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Failed(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let cause = anyhow::anyhow!("the disk is full");
        let error = cause
            .context("cannot write a: the disk is full; make room")
            .context("no store");
        assert_eq!(
            told(&error),
            "no store: cannot write a: the disk is full; make room"
        );
    }
}
