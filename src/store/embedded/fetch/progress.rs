//! How far a fetch is: a bar where somebody watches, else a line in the log every few seconds.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

const LOG_EVERY: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_millis(120);
const MEBIBYTE: u64 = 1024 * 1024;

/// The progress of one step.
pub struct Progress {
    bar: Option<ProgressBar>,
    step: &'static str,
    total_bytes: Option<u64>,
    logged: Instant,
}

impl Progress {
    /// `total_bytes` is `None` when the end is not known.
    pub fn new(step: &'static str, total_bytes: Option<u64>) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let template = match total_bytes {
                Some(_) => "{msg} [{bar:30}] {bytes}/{total_bytes}",
                None => "{spinner} {msg} ({elapsed})",
            };
            let style = ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = total_bytes
                .map_or_else(ProgressBar::new_spinner, ProgressBar::new)
                .with_style(style);
            bar.set_message(step);
            bar.enable_steady_tick(TICK);
            bar
        });
        if bar.is_none() {
            tracing::info!("{step}");
        }
        Self {
            bar,
            step,
            total_bytes,
            logged: Instant::now(),
        }
    }

    /// Tells where the step is, in bytes.
    pub fn at(&mut self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(bytes);
        } else if self.logged.elapsed() >= LOG_EVERY {
            self.logged = Instant::now();
            let (done, total) = (
                bytes / MEBIBYTE,
                self.total_bytes.map(|total| total / MEBIBYTE),
            );
            tracing::info!(done_mib = done, total_mib = total, "{}", self.step);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
