//! Signals: SIGINT and SIGTERM end the program, SIGHUP reads the rules again.

use std::path::PathBuf;

use anyhow::Context as _;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tokio_util::sync::CancellationToken;

use crate::{
    alert::AlertHandle,
    cli::{knowledge, variables},
    config::{Config, Sources},
    detect::DetectorConfig,
    pipeline::Knowledge,
};

/// A token that the first signal cancels; the second ends the process.
pub(super) fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    // A file that may not grow is an error of a write, not the end of the program: once listened
    // to, the signal does nothing.
    drop(signal(SignalKind::from_raw(libc::SIGXFSZ)).context("cannot listen for SIGXFSZ")?);
    let stop = CancellationToken::new();
    let cancel = stop.clone();
    tokio::spawn(async move {
        for first in [true, false] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if first {
                tracing::info!(
                    "stopping: finishing what is in progress (a second signal ends at once)"
                );
                cancel.cancel();
            } else {
                std::process::exit(1);
            }
        }
    });
    Ok(stop)
}

/// SIGHUP reads the rules again; a mistake keeps the old ones.
pub(super) fn reload_on_hangup(
    file: Option<PathBuf>,
    knowledge: watch::Sender<Knowledge>,
    alerts: AlertHandle,
    detect: impl Fn(DetectorConfig) + Send + 'static,
) -> anyhow::Result<()> {
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            let variables = variables();
            let loaded = Config::load(&Sources {
                file: file.as_deref(),
                variables,
            })
            .map_err(anyhow::Error::new)
            .and_then(|(config, _)| {
                Ok((knowledge::load(&config)?, config.alerts, config.detection))
            });
            let loaded = match loaded {
                Ok((rules, options, detection)) => match alerts.reload(options).await {
                    Ok(()) => {
                        detect(detection);
                        Ok(rules)
                    }
                    Err(error) => Err(error.into()),
                },
                Err(error) => Err(error),
            };
            match loaded {
                Ok(rules) => {
                    knowledge.send_replace(rules);
                    tracing::info!("rules, detection and alert routes read again");
                }
                Err(error) => tracing::error!("rules not changed: {error:#}"),
            }
        }
    });
    Ok(())
}
