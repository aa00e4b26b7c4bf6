//! `lapwing serve`: sockets, store, pipeline, and their end.
//!
//! Order of the start: bind (a taken port is told at once), admin port, embedded store, journal,
//! pipeline, receivers, ready. A store that does not answer is waited for beside all this: the
//! journal takes what comes. Order of the end: not ready, receivers drain, admin port, the journal
//! is delivered for a while, the store stops. A second signal ends at once.

mod signals;
mod store;

use std::{
    future::Future,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::Context as _;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

use self::{
    signals::{reload_on_hangup, stop_on_signal},
    store::{Delivering, deliver, open_store},
};
use super::{knowledge, own_numbers, say};
use crate::{
    admin::{self, Admin, Guard, HasToken},
    alert::{self, AlertHandle},
    config::{Config, Secret, Storage},
    forward::{ForwardStats, Forwarder},
    journal::Journal,
    normalise::memory::MemoryLimits,
    pipeline::{Pipeline, PipelineOptions},
    receive::{
        Admission, BearerTokens, GrpcOptions, HttpOptions, ReceiveStats, ServeOptions, serve_grpc,
        serve_http,
    },
    redact::Redactor,
    store::{Store, embedded::Embedded},
    telemetry,
    watch::{Watch, WatchStats, feed},
};

/// How long the end waits for the store to take what is in the journal.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// How long the end waits for the target of `forward.otlp`.
const FORWARD_MAX: Duration = Duration::from_secs(5);

/// The sockets, bound before anything else is done.
struct Listeners {
    grpc: TcpListener,
    http: TcpListener,
}

/// What there is to measure beside the receivers and the pipeline.
struct Measured {
    journal: Arc<Journal>,
    delivering: Delivering,
    watch: Arc<WatchStats>,
    forward: Option<Arc<ForwardStats>>,
}

/// What makes the page of `/metrics`; none before there is something to measure.
type Page = Arc<OnceLock<Box<dyn Fn() -> String + Send + Sync>>>;

/// The admin port, which answers from the first moment to nearly the last.
struct AdminPort {
    admin: Admin,
    address: SocketAddr,
    page: Page,
    alerts: AlertHandle,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

/// Serves until a signal ends it.
pub(super) async fn run(config: Config, file: Option<PathBuf>) -> anyhow::Result<()> {
    let listeners = Listeners {
        grpc: bind("receivers.otlp.grpc.listen", config.grpc.listen).await?,
        http: bind("receivers.otlp.http.listen", config.http.listen).await?,
    };
    let admin_listener = bind("admin.listen", config.admin.listen).await?;
    std::fs::create_dir_all(&config.data_dir).with_context(|| {
        format!(
            "cannot make data_dir {}: set `data_dir` to a directory of yours",
            config.data_dir.display()
        )
    })?;
    // Before the store: alerts do not wait for ClickHouse.
    let mut alerts = alert::start(config.alerts.clone(), &config.data_dir, None)?;
    let admin = AdminPort::start(admin_listener, alerts.handle(), guard(&config))?;
    let (knowledge, knowledge_in_force) = watch::channel(knowledge::load(&config)?);
    let stop = stop_on_signal()?;
    let (embedded, target) = open_store(&config).await?;
    let store = Store::new(&target)?;
    alerts.remember(store.clone());
    let numbers = tokio::spawn(own_numbers::write(
        store.clone(),
        instance(&admin),
        admin.page(),
    ));
    let (facts, on_durable) = feed();
    let journal = Arc::new(Journal::open(config.journal.clone(), Some(on_durable))?);
    let watch = Watch::start(
        facts,
        Arc::clone(&journal),
        &config.data_dir,
        config.detection.clone(),
        alerts.handle(),
        Some(store.clone()),
    )?;
    // Before the delivery, too: what is delivered may be deleted.
    let forwarder = match &config.forward {
        Some(options) => Some(Forwarder::start(options, &journal, &config.data_dir)?),
        None => None,
    };
    let delivering = Delivering::default();
    let preparing = deliver(&journal, store, &config, &delivering, &stop).await?;
    let pipeline = Pipeline::start(
        knowledge_in_force,
        Arc::clone(&journal),
        pipeline_options(&config),
    );
    pipeline.remember_requests(journal.recent_requests());
    reload_on_hangup(file, knowledge, alerts.handle(), watch.configure())?;
    announce(&config, &listeners, &admin, embedded.as_ref());
    let measured = Measured {
        journal: Arc::clone(&journal),
        delivering: Arc::clone(&delivering),
        watch: watch.stats(),
        forward: forwarder.as_ref().map(Forwarder::stats),
    };
    receive(&config, listeners, &pipeline, measured, &admin, stop).await?;
    admin.end().await;
    numbers.abort();
    tokio::task::block_in_place(|| {
        journal.close();
        watch.close();
    });
    if let Some(forwarder) = forwarder
        && !forwarder.close(FORWARD_MAX).await
    {
        tracing::warn!("what was not passed on waits in the journal for the next start");
    }
    alerts.shutdown().await;
    if let Some(preparing) = preparing {
        // A migration is not left half-way; an attempt that takes too long ends with the process.
        _ = tokio::time::timeout(DRAIN_MAX, preparing).await;
    }
    let left = match delivering.get() {
        Some(delivery) => delivery.drain(DRAIN_MAX).await,
        None => journal.queued_rows(),
    };
    if let Some(embedded) = embedded {
        embedded.stop().await;
    }
    if left > 0 {
        tracing::warn!(
            rows = left,
            "stopped: these rows wait in the journal for the next start"
        );
        return Ok(());
    }
    tracing::info!("stopped: everything acknowledged is stored");
    Ok(())
}

fn guard(config: &Config) -> Guard {
    let has_token = |token: &Secret| -> HasToken {
        let tokens = BearerTokens::new([token.reveal()]);
        Arc::new(move |headers| tokens.allow(headers))
    };
    let token = config.admin.token.as_ref().map(has_token);
    Guard::new(config.admin.listen, config.admin.hosts.clone(), token)
}

// === impl AdminPort ===

impl AdminPort {
    fn start(
        listener: TcpListener,
        alerts: AlertHandle,
        guard: Guard,
    ) -> anyhow::Result<AdminPort> {
        let address = listener.local_addr().context("the admin port is gone")?;
        let page = Page::default();
        let shown = Arc::clone(&page);
        let (measured, listed) = (alerts.clone(), alerts.clone());
        let admin = Admin::new(move || whole(&shown, &measured))
            .with_section(move || alert::api::section(&listed));
        let stop = CancellationToken::new();
        let task = tokio::spawn(admin::serve(
            listener,
            admin.clone(),
            alert::api::router(alerts.clone()),
            guard,
            stop.clone(),
        ));
        Ok(AdminPort {
            admin,
            address,
            page,
            alerts,
            stop,
            task,
        })
    }

    /// Makes the page of `/metrics`.
    fn page(&self) -> impl Fn() -> String + Send + use<> {
        let (page, alerts) = (Arc::clone(&self.page), self.alerts.clone());
        move || whole(&page, &alerts)
    }

    fn measure(&self, page: impl Fn() -> String + Send + Sync + 'static) {
        // Set once: there is one pipeline in a process.
        _ = self.page.set(Box::new(page));
    }

    async fn end(self) {
        self.stop.cancel();
        _ = self.task.await;
    }
}

/// Everything measured; of the pipeline only when there is one.
fn whole(page: &Page, alerts: &AlertHandle) -> String {
    page.get().map_or_else(String::new, |page| page()) + &alerts.metrics()
}

async fn bind(key: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}: change `{key}` or stop who has it"))
}

fn pipeline_options(config: &Config) -> PipelineOptions {
    PipelineOptions {
        memory: MemoryLimits {
            bytes_max: config.correlation_bytes_max,
            age_max_ns: u64::try_from(config.correlation_age_max.as_nanos()).unwrap_or(u64::MAX),
        },
        content: config.content,
        redactor: Arc::new(Redactor::new(config.redaction.clone())),
        forward: config.forward.is_some(),
        ..PipelineOptions::default()
    }
}

/// Runs the receivers until the token is cancelled and they have drained.
async fn receive(
    config: &Config,
    listeners: Listeners,
    pipeline: &Arc<Pipeline<Journal>>,
    measured: Measured,
    admin: &AdminPort,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let stats = Arc::new(ReceiveStats::default());
    let options = |body_bytes_max| ServeOptions {
        message_bytes_max: body_bytes_max,
        tokens: BearerTokens::new(config.bearer_tokens.iter().map(|token| token.reveal())),
        stats: Arc::clone(&stats),
        ..ServeOptions::default()
    };
    let admission = Admission::new(config.in_flight_bytes_max);
    let grpc = GrpcOptions {
        serve: ServeOptions {
            admission: Arc::clone(&admission),
            ..options(config.grpc.body_bytes_max)
        },
    };
    let http = HttpOptions {
        serve: ServeOptions {
            admission,
            ..options(config.http.body_bytes_max)
        },
        allowed_origins: config.cors_allowed_origins.clone(),
    };
    admin.measure({
        let (pipeline, stats) = (Arc::clone(pipeline), Arc::clone(&stats));
        move || {
            telemetry::metrics(
                &pipeline,
                &stats,
                &measured.journal,
                measured.delivering.get(),
                &measured.watch,
            ) + &measured
                .forward
                .as_deref()
                .map_or_else(String::new, telemetry::forward)
        }
    });
    admin.admin.set_ready(true);
    let drain = CancellationToken::new();
    let not_ready = async {
        stop.cancelled().await;
        // First, so that nobody finds a closed port behind an address that says it is ready.
        admin.admin.set_ready(false);
        drain.cancel();
        Ok::<(), anyhow::Error>(())
    };
    let served = tokio::try_join!(
        with_context(
            "OTLP/gRPC",
            serve_grpc(listeners.grpc, grpc, Arc::clone(pipeline), drain.clone())
        ),
        with_context(
            "OTLP/HTTP",
            serve_http(listeners.http, http, Arc::clone(pipeline), drain.clone())
        ),
        not_ready,
    );
    served.map(|_| ())
}

async fn with_context<E: std::error::Error + Send + Sync + 'static>(
    what: &'static str,
    served: impl Future<Output = Result<(), E>>,
) -> anyhow::Result<()> {
    served.await.with_context(|| format!("{what} ended"))
}

/// This collector among others that write to the same store.
fn instance(admin: &AdminPort) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}:{}", host.trim(), admin.address.port())
}

/// What a person at the terminal wants to know first.
fn announce(
    config: &Config,
    listeners: &Listeners,
    admin: &AdminPort,
    embedded: Option<&Embedded>,
) {
    let of = |listener: &TcpListener| {
        listener
            .local_addr()
            .map_or_else(|_| "?".to_owned(), |address| address.to_string())
    };
    let http = of(&listeners.http);
    let store = match (embedded, &config.storage) {
        (Some(embedded), _) => format!(
            "ClickHouse {} in {}, read-only at http://{}",
            embedded.version(),
            config.data_dir.display(),
            embedded.reader_addr()
        ),
        (None, Storage::Server(target)) => format!("ClickHouse at {}", target.url),
        (None, Storage::Embedded { .. }) => String::new(),
    };
    say(&format!(
        "lapwing {}\n  OTLP/gRPC  {}\n  OTLP/HTTP  http://{http}\n  admin      http://{}\n  store      {store}\n\n\
         Send a first call:\n  {}\nand look at it:\n  lapwing query 'select timestamp, service, request_model, failure_class from llm_calls'\n",
        env!("CARGO_PKG_VERSION"),
        of(&listeners.grpc),
        admin.address,
        first_span(&http),
    ));
}

/// A line that can be pasted into any shell.
fn first_span(http: &str) -> String {
    let body = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"hello"}}]},"scopeSpans":[{"spans":[{"traceId":"'$(openssl rand -hex 16)'","spanId":"'$(openssl rand -hex 8)'","name":"chat gpt-4o","kind":3,"startTimeUnixNano":"'$(date +%s%N)'","endTimeUnixNano":"'$(date +%s%N)'","attributes":[{"key":"gen_ai.operation.name","value":{"stringValue":"chat"}},{"key":"gen_ai.provider.name","value":{"stringValue":"openai"}},{"key":"gen_ai.request.model","value":{"stringValue":"gpt-4o"}},{"key":"gen_ai.usage.input_tokens","value":{"intValue":12}},{"key":"gen_ai.usage.output_tokens","value":{"intValue":3}}]}]}]}]}"#;
    format!("curl -sS http://{http}/v1/traces -H 'content-type: application/json' -d '{body}'")
}
