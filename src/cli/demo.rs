//! `lapwing demo`: sends a realistic stream of model calls to a running collector, by real OTLP, with
//! incidents that unfold; says what happens while it happens, and at the end what to look at.
//!
//! First calm calls of the past, as fast as they are taken, so that there is something to compare
//! with; then the live part, in real time. Nothing is read back: what the collector made of it is
//! seen where users look.

/// What happens when.
mod scenario;
/// A call as an OTLP span.
mod spans;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use prost::Message as _;
use tokio::time::Instant;

use super::say;
use crate::config::Config;
use scenario::Scenario;

/// Between two requests of the live part.
const SEND_EVERY: Duration = Duration::from_millis(250);
/// Calls in one request of the part that lies in the past.
const CALLS_PER_REQUEST: u64 = 500;
/// A collector that is busy is asked again this often.
const ATTEMPTS_MAX: u32 = 20;
/// After a collector that is busy.
const RETRY_AFTER: Duration = Duration::from_millis(500);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// What to send.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// How long the live part with the incidents takes, in minutes
    #[arg(long, env = "LAPWING_DEMO_MINUTES", default_value_t = 4.0)]
    minutes: f64,
    /// Calls per second in the live part
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// Minutes of calm calls in the past that are sent first
    #[arg(long, env = "LAPWING_DEMO_HISTORY", default_value_t = 120)]
    history: u32,
    /// OTLP/HTTP address of the collector; that of the configuration if left out
    #[arg(long, value_name = "URL")]
    to: Option<String>,
}

/// Where the calls go.
struct Collector {
    client: reqwest::Client,
    url: String,
    token: Option<String>,
}

/// Sends everything; an error when the collector cannot be reached or refuses.
pub(super) async fn run(config: &Config, options: Options) -> anyhow::Result<()> {
    let live =
        Duration::try_from_secs_f64(options.minutes * 60.0).context("--minutes is no time")?;
    if !(options.rate > 0.0 && options.rate <= 10_000.0) || live.is_zero() {
        bail!("--rate must be above 0 and at most 10000, and --minutes above 0");
    }
    let collector = Collector::of(config, options.to.as_deref())?;
    let scenario = Scenario::new(seed());
    let calm = past(&collector, &scenario, options.history, options.rate).await?;
    let told = present(&collector, &scenario, live, options.rate).await?;
    say(&format!(
        "\nSent {} calls: {calm} calm ones of the past, {told} live ones with {} incidents.\n{}",
        calm + told,
        scenario::INCIDENTS.len(),
        what_to_look_at(config),
    ));
    Ok(())
}

/// The past: one call after another up to now, at a fifth of the live rate.
async fn past(
    collector: &Collector,
    scenario: &Scenario,
    minutes: u32,
    rate: f64,
) -> anyhow::Result<u64> {
    let seconds = f64::from(minutes) * 60.0;
    let calls = (seconds * rate / 5.0) as u64;
    let begin_ns = now_ns().saturating_sub((seconds * 1e9) as u64);
    let step_ns = (5e9 / rate) as u64;
    let bar = bar(calls, "{msg:34} {bar:40.green} {pos}/{len} calls");
    bar.set_message("calm calls of the past");
    let mut sent = 0;
    while sent < calls {
        let until = (sent + CALLS_PER_REQUEST).min(calls);
        let at = |number: u64| begin_ns + number * step_ns;
        let made = (sent..until).flat_map(|n| scenario.calls(n, at(n), 0.0));
        collector.send(spans::request(made)).await?;
        sent = until;
        bar.set_position(sent);
    }
    bar.finish();
    Ok(calls)
}

/// The live part, in real time. Returns how many calls were sent.
async fn present(
    collector: &Collector,
    scenario: &Scenario,
    live: Duration,
    rate: f64,
) -> anyhow::Result<u64> {
    let bar = bar(live.as_secs(), "{msg:34} {bar:40.red} {pos}/{len} s");
    let begin = Instant::now();
    let (mut due_before, mut sent, mut told) = (0, 0, 0);
    let mut ticks = tokio::time::interval(SEND_EVERY);
    while begin.elapsed() < live {
        ticks.tick().await;
        let progress = begin.elapsed().as_secs_f64() / live.as_secs_f64();
        let due = (begin.elapsed().as_secs_f64() * rate) as u64;
        let now = now_ns();
        // Numbers go on where no history ends, so that no id is used twice.
        let made: Vec<_> = (due_before..due)
            .flat_map(|n| scenario.calls(n | 1 << 40, now, progress))
            .collect();
        due_before = due;
        if !made.is_empty() {
            sent += made.len() as u64;
            collector.send(spans::request(made)).await?;
        }
        while let Some(next) = scenario::INCIDENTS.get(told).filter(|i| i.from <= progress) {
            let second = begin.elapsed().as_secs();
            let line = format!("  {second:>4} s  {}", next.what);
            // Without a terminal there is no bar to print above.
            match bar.is_hidden() {
                true => say(&line),
                false => bar.println(line),
            }
            told += 1;
        }
        bar.set_message(scenario::under_way(progress));
        bar.set_position(begin.elapsed().as_secs());
    }
    bar.finish();
    Ok(sent)
}

fn bar(length: u64, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style)
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |t| u64::try_from(t.as_nanos()).unwrap_or(u64::MAX))
}

/// Another in each run, so that two runs are two sets of calls.
fn seed() -> u64 {
    now_ns() ^ u64::from(std::process::id())
}

fn what_to_look_at(config: &Config) -> String {
    format!(
        "Look at it:\n  \
         lapwing top                                        flow, failing calls, open alerts\n  \
         http://{}/                               the collector's own page\n  \
         Grafana, dashboard \"Lapwing 1: incident\"           (docs/dashboards.md says how)\n  \
         lapwing query \"select failure_class, fault_domain, retry_advice, count() from llm_calls \
         where timestamp > now() - interval 10 minute and failure_class != '' group by all order by 4 desc\"\n\
         What you should find: a token rate limit on gpt-4o that waiting clears, a quota that it does not,\n\
         gpt-4o answered by another version, empty answers of gemini-2.5-flash, and tenant globex running away.",
        config.admin.listen
    )
}

// === impl Collector ===

impl Collector {
    fn of(config: &Config, to: Option<&str>) -> anyhow::Result<Collector> {
        let configured = format!("http://{}", config.http.listen);
        let base = to.unwrap_or(&configured).trim_end_matches('/');
        Ok(Collector {
            client: reqwest::Client::builder()
                .timeout(REQUEST_TIMEOUT)
                .build()
                .context("cannot set up HTTP")?,
            url: format!("{base}/v1/traces"),
            token: config.bearer_tokens.first().map(|t| t.reveal().to_owned()),
        })
    }

    /// One request; a busy collector is asked again.
    async fn send(&self, request: spans::Request) -> anyhow::Result<()> {
        let body = request.encode_to_vec();
        for _ in 0..ATTEMPTS_MAX {
            let mut post = self.client.post(&self.url).body(body.clone());
            post = post.header("content-type", "application/x-protobuf");
            if let Some(token) = &self.token {
                post = post.bearer_auth(token);
            }
            let answer = post.send().await.with_context(|| {
                format!(
                    "no collector answers at {}: start `lapwing serve` first",
                    self.url
                )
            })?;
            match answer.status().as_u16() {
                200..=299 => return Ok(()),
                429 | 502 | 503 | 504 => tokio::time::sleep(RETRY_AFTER).await,
                status => bail!("{} answers {status}", self.url),
            }
        }
        bail!("{} stays busy; its log says why", self.url)
    }
}
