//! Workers: what goes on by itself. One lets time pass and sends what is due, one message at a
//! time to each receiver and at its pace; the other brings the history to the store.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    AlertHandle,
    deliver::{
        outbox::{Message, Outcome},
        send::Sender,
    },
    desk::is_refreshed,
    history::Row,
    now_ns,
    options::Receiver,
};
use crate::store::Store;

/// Between two looks at what is due.
const TICK: Duration = Duration::from_millis(200);
/// Between two refreshes of an Alertmanager.
const REFRESH: Duration = Duration::from_secs(60);
/// Rows of one insert.
const ROWS_MAX: usize = 500;
const STORE_RETRY_MIN: Duration = Duration::from_secs(1);
const STORE_RETRY_MAX: Duration = Duration::from_secs(60);

/// When a receiver was last sent something, and whether it is being sent something now.
#[derive(Default)]
struct Pace {
    busy: bool,
    sent: Option<Instant>,
    refreshed: Option<Instant>,
}

type Sent = (Receiver, Message, Outcome);

/// Delivers until it is told to stop; then finishes what is under way.
pub(super) async fn deliver(handle: AlertHandle, sender: Sender, stop: CancellationToken) {
    let sender = Arc::new(sender);
    let mut paces: BTreeMap<String, Pace> = BTreeMap::new();
    let mut sending: JoinSet<Sent> = JoinSet::new();
    loop {
        for (receiver, message) in due(&handle, &mut paces).await {
            let sender = Arc::clone(&sender);
            sending.spawn(async move {
                let outcome = sender.send(&receiver, &message).await;
                (receiver, message, outcome)
            });
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = handle.wake.notified() => {}
            () = tokio::time::sleep(TICK) => {}
            Some(sent) = sending.join_next(), if !sending.is_empty() => done(&handle, &mut paces, sent).await,
        }
    }
    while let Some(sent) = sending.join_next().await {
        done(&handle, &mut paces, sent).await;
    }
}

/// Lets time pass, and takes what each idle receiver is to be sent now.
async fn due(handle: &AlertHandle, paces: &mut BTreeMap<String, Pace>) -> Vec<(Receiver, Message)> {
    let mut desk = handle.desk();
    let now_ns = now_ns();
    desk.tick(now_ns);
    let mut out = Vec::new();
    for receiver in &desk.options.receivers {
        let pace = paces.entry(receiver.name.clone()).or_default();
        let rested = pace
            .sent
            .is_none_or(|at| at.elapsed() >= receiver.via.pace());
        if pace.busy || !rested {
            continue;
        }
        let mut next = desk.outbox.next(&receiver.name, now_ns).cloned();
        let stale = pace.refreshed.is_none_or(|at| at.elapsed() >= REFRESH);
        if next.is_none() && is_refreshed(receiver) && stale {
            pace.refreshed = Some(Instant::now());
            next = desk.refresh(receiver, now_ns);
        }
        if let Some(message) = next {
            pace.busy = true;
            pace.sent = Some(Instant::now());
            out.push((receiver.clone(), message));
        }
    }
    out
}

async fn done(
    handle: &AlertHandle,
    paces: &mut BTreeMap<String, Pace>,
    sent: Result<Sent, tokio::task::JoinError>,
) {
    let Ok((receiver, message, outcome)) = sent else {
        // A delivery that panicked: all may be tried again.
        tracing::error!("a delivery ended abnormally");
        paces.values_mut().for_each(|pace| pace.busy = false);
        return;
    };
    if let Some(pace) = paces.get_mut(&receiver.name) {
        pace.busy = false;
    }
    handle
        .desk()
        .attempted(now_ns(), &receiver, &message, outcome);
}

/// Brings the history to the store, as it can.
pub(super) async fn remember(handle: AlertHandle, store: Store, stop: CancellationToken) {
    let mut pause = STORE_RETRY_MIN;
    loop {
        let rows = handle.desk().rows(ROWS_MAX);
        let last = rows.last().map(|(number, _)| *number);
        let wait = match last {
            None => STORE_RETRY_MIN,
            Some(last) => match write(&store, rows).await {
                Ok(()) => {
                    handle.desk().stored(last);
                    pause = STORE_RETRY_MIN;
                    Duration::ZERO
                }
                Err(error) => {
                    tracing::warn!(%error, "the history of alerts waits for the store");
                    pause = (pause * 2).min(STORE_RETRY_MAX);
                    pause
                }
            },
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn write(store: &Store, rows: Vec<(u64, Row)>) -> Result<(), crate::store::WriteError> {
    let (mut alerts, mut deliveries) = (Vec::new(), Vec::new());
    for (number, row) in rows {
        match row {
            Row::Alert(row) => alerts.push(super::history::alert_row(number, *row)),
            Row::Delivery(row) => deliveries.push(super::history::delivery_row(number, *row)),
        }
    }
    store.insert_alerts(&alerts).await?;
    store.insert_deliveries(&deliveries).await
}
