//! The HTTP side: sessions, faults, the envelope. Work that was begun is finished, whether or not the client waits for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::auth::Sessions;
use super::fail::Fail;
use super::gauge::Gauge;
use super::rpc::{self, Call};
use super::settings::{ErpSettings, Processing};
use super::world::World;
use crate::effects::{Draft, Kind};
use crate::faults::admin::Controls;
use crate::faults::{Facts, Rule, Wire, spoil};

/// The ERP behind its HTTP API.
pub(super) struct Erp {
    pub(super) settings: ErpSettings,
    pub(super) world: Mutex<World>,
    pub(super) sessions: Mutex<Sessions>,
    pub(super) controls: Controls,
    pub(super) gauge: Gauge,
    pub(super) requests: AtomicU64,
}

pub(super) fn routes(erp: Arc<Erp>) -> Router {
    Router::new().route("/rpc/", post(root)).route("/{database}/rpc/", post(call)).with_state(erp)
}

/// What is not about one database.
async fn root(State(erp): State<Arc<Erp>>, body: Bytes) -> Response {
    let Some(call) = parse(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    match call.method.as_str() {
        "common.server.version" => answer(&call, &Ok(json!("8.2"))),
        "common.db.list" => answer(&call, &Ok(json!([erp.settings.database]))),
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn call(State(erp): State<Arc<Erp>>, Path(database): Path<String>, Extension(wire): Extension<Wire>, request: Request) -> Response {
    if erp.controls.plan.early().is_some() {
        erp.controls.log.append([Draft::new(Kind::Answered, "").detail("reset_early")]);
        return wire.reset().await;
    }
    let (parts, body) = request.into_parts();
    // A body that breaks off was never received.
    let Ok(body) = body.collect().await else { return StatusCode::BAD_REQUEST.into_response() };
    let Some(call) = parse(&body.to_bytes()).filter(|_| is_json(&parts.headers)) else { return StatusCode::BAD_REQUEST.into_response() };
    if database != erp.settings.database {
        return page(StatusCode::NOT_FOUND);
    }
    // Its own task: a client that hangs up does not stop what it has set off.
    let work = tokio::spawn(async move { erp.serve(call, parts.headers).await });
    match work.await {
        Ok((answer, None)) => answer.unwrap_or_else(|| StatusCode::INTERNAL_SERVER_ERROR.into_response()),
        Ok((answer, Some(rule))) => spoil(&rule.fault, &wire, answer).await,
        Err(error) => {
            tracing::error!(%error, "the ERP double panicked");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

impl Erp {
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        // A panic inside a transaction would leave half of it: better no ERP than a wrong one.
        self.world.lock().expect("no transaction has panicked")
    }

    pub(super) fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries a call out, unless a fault forbids it. The answer is missing when nothing was carried out.
    async fn serve(self: Arc<Self>, call: Call, headers: HeaderMap) -> (Option<Response>, Option<Rule>) {
        let started = Utc::now();
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let facts = Facts { operation: call.method.clone(), subjects: rpc::subjects(&self.world(), &call) };
        let is_logged = self.settings.log_reads || !call.is_read();
        let external = facts.subjects.first().cloned();
        let draft = |kind| {
            let draft = Draft::new(kind, call.operation()).request(number);
            match &external {
                Some(external) => draft.external(external.clone()),
                None => draft,
            }
        };
        if is_logged {
            self.controls.log.append([draft(Kind::Received)]);
        }
        let Some(_slot) = self.gauge.enter() else {
            self.controls.log.append([draft(Kind::Answered).detail("status 429")]);
            return (Some(StatusCode::TOO_MANY_REQUESTS.into_response()), None);
        };
        self.controls.pace.wait().await;
        let rule = self.controls.plan.hit(&facts);
        let is_applied = rule.as_ref().is_none_or(|it| it.apply || it.fault.needs_answer());
        let result = is_applied.then(|| self.carry_out(&call, &headers, number, started));
        if is_logged || rule.is_some() {
            let said = match (&rule, &result) {
                (Some(rule), Some(_)) => format!("{}, applied", rule.fault.name()),
                (Some(rule), None) => rule.fault.name(),
                (None, Some(Err(fail))) => format!("refused: {}", kind_of(fail)),
                (None, _) => "done".to_owned(),
            };
            self.controls.log.append([draft(Kind::Answered).detail(said)]);
        }
        self.controls.log.sync().await;
        (result.map(|it| answer(&call, &it)), rule)
    }

    fn carry_out(self: &Arc<Self>, call: &Call, headers: &HeaderMap, number: u64, started: DateTime<Utc>) -> Result<Value, Fail> {
        match call.method.as_str() {
            "common.db.login" => return self.sessions().log_in(&call.params),
            "common.db.logout" => {
                self.sessions().log_out(headers);
                return Ok(Value::Null);
            }
            _ => self.sessions().check(headers)?,
        }
        let mut world = self.world();
        let (result, committed) = rpc::run(&mut world, call, started);
        // Under the world's lock, so that the log has the order of the transactions.
        self.controls.log.append(committed.effects.into_iter().map(|it| it.request(number)));
        self.follow_up(&mut world, committed.to_process);
        result
    }

    /// Processes sales as the ERP's queue does: each in a transaction of its own, whose failure nobody is told.
    pub(super) fn follow_up(self: &Arc<Self>, world: &mut World, sales: Vec<i64>) {
        match world.conduct.processing {
            Processing::InRequest => self.process(world, sales),
            Processing::After { ms } if !sales.is_empty() => {
                let erp = self.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(ms)).await;
                    erp.process(&mut erp.world(), sales);
                });
            }
            Processing::After { .. } | Processing::Never => {}
        }
    }

    fn process(&self, world: &mut World, sales: Vec<i64>) {
        for sale in sales {
            match world.transact("sale.sale.process", Utc::now(), |it| it.process_queued(sale)) {
                Ok(((), committed)) => {
                    self.controls.log.append(committed.effects);
                }
                Err(error) => tracing::debug!(sale, %error, "a queued sale was not processed"),
            }
        }
    }
}

/// Exactly `id`, `method` and `params`, as the protocol wants it.
fn parse(body: &[u8]) -> Option<Call> {
    let Ok(Value::Object(mut body)) = serde_json::from_slice(body) else { return None };
    if body.len() != 3 {
        return None;
    }
    let (id, method, params) = (body.remove("id")?, body.remove("method")?, body.remove("params")?);
    let params = match params {
        Value::Array(params) => params,
        Value::Null => Vec::new(),
        _ => return None,
    };
    Some(Call { id, method: method.as_str()?.to_owned(), params })
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok()).is_some_and(|it| it.contains("json"))
}

fn answer(call: &Call, result: &Result<Value, Fail>) -> Response {
    if let Some(body) = rpc::envelope(&call.id, result) {
        return ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body.to_string()).into_response();
    }
    match result {
        Err(Fail::Unauthorized) => {
            (StatusCode::UNAUTHORIZED, [(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))]).into_response()
        }
        Err(Fail::TooManyAttempts) => page(StatusCode::TOO_MANY_REQUESTS),
        Err(Fail::Unprocessable(_)) => page(StatusCode::UNPROCESSABLE_ENTITY),
        _ => page(StatusCode::FORBIDDEN),
    }
}

/// An error page in HTML, as the server behind the ERP makes them.
fn page(status: StatusCode) -> Response {
    let (code, reason) = (status.as_str(), status.canonical_reason().unwrap_or_default());
    let body = format!("<!doctype html>\n<html lang=en>\n<title>{code} {reason}</title>\n<h1>{reason}</h1>\n");
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))], body).into_response()
}

fn kind_of(fail: &Fail) -> &'static str {
    match fail {
        Fail::User(_) => "UserError",
        Fail::Warning { .. } => "UserWarning",
        Fail::Concurrency => "ConcurrencyException",
        Fail::Exception(_) => "exception",
        Fail::Forbidden => "forbidden",
        Fail::Unprocessable(_) => "unprocessable",
        Fail::Unauthorized => "unauthorized",
        Fail::TooManyAttempts => "too many attempts",
    }
}
