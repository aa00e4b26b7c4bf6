//! The admin API of alerts: list, show, acknowledge, silence, test, replay; and two pages.
//!
//! JSON in and out, described by `/api/v1/openapi.json`.
//!
//! Not here: who may ask at all. That is the admin port's guard.

mod page;
mod request;

use axum::{
    Router,
    body::Bytes,
    extract::{Path, RawQuery, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::{delete, get, post},
};
use serde_json::{Value, json};

use self::request::{AckRequest, SilenceRequest, TestRequest, read};
use super::{
    AlertHandle, DeskError, content,
    manager::ManagerError,
    model::{Alert, Event, Mute, Silence, Status},
    now_ns, text,
};

/// The description that is served.
pub const OPENAPI: &str = include_str!("api/openapi.json");
/// Alerts of one list.
const LIST_MAX: usize = 500;

/// A request that was not done.
pub(super) struct Refusal {
    status: StatusCode,
    what: String,
}

/// The routes, to be merged into the admin port's.
pub fn router(handle: AlertHandle) -> Router {
    Router::new()
        .route("/api/v1/openapi.json", get(openapi))
        .route("/api/v1/alerts", get(list))
        .route("/api/v1/alerts/test", post(test))
        .route("/api/v1/alerts/{id}", get(show))
        .route("/api/v1/alerts/{id}/ack", post(acknowledge))
        .route("/api/v1/silences", get(silences).post(silence))
        .route("/api/v1/silences/{id}", delete(unsilence))
        .route("/api/v1/deliveries", get(deliveries))
        .route("/api/v1/deliveries/{receiver}/{id}", get(delivery))
        .route("/api/v1/deliveries/{receiver}/{id}/replay", post(replay))
        .route("/silence", get(page::silence))
        .route("/runbook", get(page::runbook))
        .with_state(handle)
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

async fn list(
    State(handle): State<AlertHandle>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let wanted = request::parameter(query.as_deref(), "status");
    let wanted = wanted.as_deref().unwrap_or("open").to_owned();
    if !["open", "resolved", "all"].contains(&wanted.as_str()) {
        return Err(Refusal::bad("status must be open, resolved or all"));
    }
    let desk = handle.desk();
    let of = |alert: &&Alert| match wanted.as_str() {
        "open" => alert.is_open(),
        "resolved" => !alert.is_open(),
        _ => true,
    };
    let mut alerts: Vec<&Alert> = desk.manager.state().alerts.values().filter(of).collect();
    alerts.sort_by_key(|a| {
        (
            a.status == Status::Resolved,
            std::cmp::Reverse((a.incident.severity, a.opened_at_ns)),
        )
    });
    let shown: Vec<Value> = alerts
        .into_iter()
        .take(LIST_MAX)
        .map(|a| described(&desk.context(now_ns()), a))
        .collect();
    Ok(answer(json!({"alerts": shown})))
}

async fn show(
    State(handle): State<AlertHandle>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let desk = handle.desk();
    let alert = desk.manager.state().alerts.get(&id);
    let alert = alert.ok_or_else(|| Refusal::from(ManagerError::NoAlert(text::line(&id, 80))))?;
    Ok(answer(described(&desk.context(now_ns()), alert)))
}

/// An alert as the API shows it: its payload, and what is known beside it.
fn described(context: &super::render::Context<'_>, alert: &Alert) -> Value {
    let event = match alert.status {
        Status::Resolved => Event::Resolved,
        _ => Event::Firing,
    };
    let payload = content::payload(context.books, context.bases, alert, event, context.now_ns);
    let told = alert.told.iter().map(|(receiver, told)| {
        let told =
            json!({"event": told.event, "at": text::time(told.at_ns), "repeats": told.repeats});
        (receiver.clone(), told)
    });
    let acknowledged = alert.acknowledged.as_ref();
    json!({
        "status": alert.status,
        "version": alert.version,
        "opened_at": text::time(alert.opened_at_ns),
        "muted": alert.muted.as_ref().map(Mute::words),
        "flapping": alert.flapping,
        "acknowledged": acknowledged.map(|ack| json!({"by": ack.by, "comment": ack.comment, "at": text::time(ack.at_ns)})),
        "told": told.collect::<serde_json::Map<_, _>>(),
        "steps": context.books.verdict(&alert.incident).steps,
        "alert": payload.data,
    })
}

async fn acknowledge(
    State(handle): State<AlertHandle>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let request: AckRequest = read(&body)?;
    handle
        .desk()
        .acknowledge(now_ns(), &id, &request.by, &request.comment)?;
    handle.wake();
    Ok(answer(json!({"acknowledged": id})))
}

async fn silences(State(handle): State<AlertHandle>) -> Response {
    let desk = handle.desk();
    let now_ns = now_ns();
    let silences: Vec<Value> = desk
        .manager
        .state()
        .silences
        .values()
        .map(|s| shown(s, now_ns))
        .collect();
    answer(json!({"silences": silences}))
}

fn shown(silence: &Silence, now_ns: u64) -> Value {
    let state = match now_ns {
        now if now >= silence.ends_at_ns => "expired",
        now if now < silence.starts_at_ns => "pending",
        _ => "active",
    };
    json!({
        "id": silence.id,
        "state": state,
        "matchers": silence.matchers,
        "starts_at": text::time(silence.starts_at_ns),
        "ends_at": text::time(silence.ends_at_ns),
        "author": silence.author,
        "comment": silence.comment,
        "from_file": silence.from_file,
    })
}

async fn silence(State(handle): State<AlertHandle>, body: Bytes) -> Result<Response, Refusal> {
    let request: SilenceRequest = read(&body)?;
    let silence = request.silence(now_ns())?;
    let described = shown(&silence, now_ns());
    handle.desk().silence(now_ns(), silence)?;
    handle.wake();
    Ok((StatusCode::CREATED, answer(described)).into_response())
}

async fn unsilence(
    State(handle): State<AlertHandle>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    handle.desk().unsilence(now_ns(), &id)?;
    handle.wake();
    Ok(answer(json!({"ended": id})))
}

async fn test(State(handle): State<AlertHandle>, body: Bytes) -> Result<Response, Refusal> {
    let request: TestRequest = read(&body)?;
    let (kind, event) = request.sample()?;
    let id = handle
        .desk()
        .test(now_ns(), &request.receiver, kind, event)?;
    handle.wake();
    let sent = answer(json!({"id": id, "receiver": request.receiver}));
    Ok((StatusCode::ACCEPTED, sent).into_response())
}

async fn deliveries(State(handle): State<AlertHandle>) -> Response {
    let desk = handle.desk();
    let waiting: Vec<Value> = desk
        .outbox
        .waiting()
        .take(LIST_MAX)
        .map(|m| json!({"id": m.id, "receiver": m.receiver, "alerts": m.alert_ids, "attempts": m.attempts, "next_at": text::time(m.next_at_ns), "reason": m.reason}))
        .collect();
    let dead: Vec<Value> = desk
        .outbox
        .dead()
        .map(|d| json!({"id": d.message.id, "receiver": d.message.receiver, "alerts": d.message.alert_ids, "at": text::time(d.at_ns), "reason": d.reason}))
        .collect();
    let disabled = desk.outbox.disabled().iter().map(|(name, d)| {
        (
            name.clone(),
            json!({"reason": d.reason, "at": text::time(d.at_ns)}),
        )
    });
    let disabled: serde_json::Map<_, _> = disabled.collect();
    answer(json!({"waiting": waiting, "dead": dead, "disabled": disabled}))
}

async fn delivery(
    State(handle): State<AlertHandle>,
    Path((receiver, id)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let report = handle.desk().report(&receiver, &id);
    let report = report.ok_or_else(|| Refusal {
        status: StatusCode::NOT_FOUND,
        what: "there is no such message, or it was delivered long ago".to_owned(),
    })?;
    Ok(answer(json!(report)))
}

async fn replay(
    State(handle): State<AlertHandle>,
    Path((receiver, id)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    handle.desk().replay(now_ns(), &receiver, &id)?;
    handle.wake();
    Ok(answer(json!({"waiting": id})))
}

/// The section of the status page, as HTML.
pub fn section(handle: &AlertHandle) -> String {
    page::section(handle)
}

fn answer(value: Value) -> Response {
    (
        [(header::CONTENT_TYPE, "application/json")],
        value.to_string(),
    )
        .into_response()
}

fn html(text: String) -> Html<String> {
    Html(text)
}

// === impl Refusal ===

impl Refusal {
    fn bad(what: &str) -> Refusal {
        Refusal {
            status: StatusCode::BAD_REQUEST,
            what: what.to_owned(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, answer(json!({"error": self.what}))).into_response()
    }
}

impl From<DeskError> for Refusal {
    fn from(error: DeskError) -> Refusal {
        match error {
            DeskError::Manager(error) => error.into(),
            error => Refusal {
                status: StatusCode::NOT_FOUND,
                what: error.to_string(),
            },
        }
    }
}

impl From<ManagerError> for Refusal {
    fn from(error: ManagerError) -> Refusal {
        let status = match error {
            ManagerError::NoAlert(_) | ManagerError::NoSilence(_) => StatusCode::NOT_FOUND,
            ManagerError::Over(_) | ManagerError::TooManySilences(_) => StatusCode::CONFLICT,
            ManagerError::EndsBeforeBegin => StatusCode::BAD_REQUEST,
        };
        Refusal {
            status,
            what: error.to_string(),
        }
    }
}
