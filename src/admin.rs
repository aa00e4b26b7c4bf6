//! Admin: health, metrics and the status page, on a port of their own.
//!
//! Live means that the process answers; ready means that it can take data durably. Ready turns
//! false before the receivers close, so that a load balancer stops sending first.

mod guard;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{Router, extract::State, http::StatusCode, middleware, response::Html, routing::get};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::guard::{Guard, HasToken};

/// What the pages show.
#[derive(Clone)]
pub struct Admin {
    ready: Arc<AtomicBool>,
    metrics: Arc<dyn Fn() -> String + Send + Sync>,
    section: Arc<dyn Fn() -> String + Send + Sync>,
}

// === impl Admin ===

impl Admin {
    /// `metrics` makes the page of `/metrics`. Not ready at first.
    pub fn new(metrics: impl Fn() -> String + Send + Sync + 'static) -> Admin {
        Admin {
            ready: Arc::default(),
            metrics: Arc::new(metrics),
            section: Arc::new(String::new),
        }
    }

    /// The same with a section of the status page, which `section` makes as HTML.
    pub fn with_section(mut self, section: impl Fn() -> String + Send + Sync + 'static) -> Admin {
        self.section = Arc::new(section);
        self
    }

    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }
}

/// Answers until the token is cancelled; `more` are the routes of other parts.
pub async fn serve(
    listener: TcpListener,
    admin: Admin,
    more: Router,
    guard: Guard,
    stop: CancellationToken,
) -> io::Result<()> {
    let router = Router::new()
        .route("/", get(status))
        .route("/livez", get(async || "ok\n"))
        .route("/healthz", get(ready))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(admin)
        .merge(more)
        .layer(middleware::from_fn_with_state(guard, guard::check));
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

async fn ready(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    match admin.ready.load(Ordering::Acquire) {
        true => (StatusCode::OK, "ready\n"),
        false => (
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: starting or stopping\n",
        ),
    }
}

async fn metrics(State(admin): State<Admin>) -> ([(&'static str, &'static str); 1], String) {
    (
        [("content-type", "text/plain; version=0.0.4; charset=utf-8")],
        (admin.metrics)(),
    )
}

async fn status(State(admin): State<Admin>) -> Html<String> {
    let state = if admin.ready.load(Ordering::Acquire) {
        "ready"
    } else {
        "not ready"
    };
    let rows = (admin.metrics)()
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(name, value)| format!("<tr><td>{}</td><td>{value}</td></tr>", escape(name)))
        .collect::<String>();
    Html(format!(
        "<!doctype html><meta charset=utf-8><title>Lapwing</title>\
         <style>body{{font:14px sans-serif;margin:2em}}td{{padding:0 1em 0 0}}td+td{{text-align:right}}</style>\
         <h1>Lapwing {version}: {state}</h1><p><a href=/metrics>metrics</a> <a href=/readyz>readyz</a></p>\
         {section}<h2>Numbers</h2><table>{rows}</table>",
        section = (admin.section)(),
        version = env!("CARGO_PKG_VERSION"),
    ))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
