//! What the collector says while it runs: lines on standard error, and, where an endpoint is
//! configured, its own traces by OTLP (never to itself).

use std::io::{self, IsTerminal as _};

use anyhow::Context as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing_subscriber::{
    EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::config::Config;

/// Own traces that wait to be sent; nothing when none are.
pub(super) struct OwnTelemetry(Option<SdkTracerProvider>);

/// Starts logging. To be called once, within the runtime.
pub(super) fn start(config: &Config) -> anyhow::Result<OwnTelemetry> {
    let filter = EnvFilter::builder()
        .parse(&config.log_level)
        .context("telemetry.log_level")?;
    let colours =
        io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let lines = match config.log_json {
        true => lines.json().flatten_event(true).boxed(),
        false => lines.with_ansi(colours).boxed(),
    };
    let provider = match &config.telemetry_otlp_endpoint {
        Some(endpoint) => Some(tracer(endpoint).context("telemetry.otlp_endpoint")?),
        None => None,
    };
    let traces = provider
        .as_ref()
        .map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer("lapwing")));
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(traces)
        .try_init()
        .context("cannot start logging")?;
    Ok(OwnTelemetry(provider))
}

fn tracer(endpoint: &str) -> anyhow::Result<SdkTracerProvider> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()?;
    let resource = Resource::builder().with_service_name("lapwing").build();
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource)
        .build())
}

impl OwnTelemetry {
    /// Sends what waits.
    pub(super) async fn flush(self) {
        if let Some(provider) = self.0 {
            _ = tokio::task::spawn_blocking(move || provider.shutdown()).await;
        }
    }
}
