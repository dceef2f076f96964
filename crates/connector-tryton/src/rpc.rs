//! Tryton's JSON-RPC: a session, one call at a time, its answer or a classified error.
//!
//! Application keys (`Authorization: Bearer`) open Tryton's REST routes only, and wizards and exact batches are not there;
//! so this is a session by login and password. It is opened by the first call and opened again when Tryton has ended it.

use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_kit::client::{Outgoing, retry_after};
use http_kit::{Client, Exchange};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use crate::error::{RpcError, redact};
use crate::warnings;

/// Cheap to clone; clones share the session.
#[derive(Clone)]
pub(crate) struct Rpc {
    access: Arc<Access>,
    /// After that nothing is written any more.
    not_after: Option<Instant>,
}

struct Access {
    client: Client,
    url: String,
    user: String,
    password: SecretString,
    company: i64,
    session: Mutex<Option<Session>>,
}

/// The value of the `Authorization` header, with a number that tells an old one from its successor.
#[derive(Clone)]
struct Session {
    header: HeaderValue,
    generation: u64,
}

/// A result, and the server's clock when it was sent.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) result: Value,
    pub(crate) at: DateTime<Utc>,
}

/// A read of some fields of the records that match.
pub(crate) struct Search<'a> {
    pub(crate) model: &'a str,
    pub(crate) domain: Value,
    pub(crate) fields: &'a [&'a str],
    /// Field and direction.
    pub(crate) order: &'a [(&'a str, &'a str)],
    pub(crate) limit: Option<usize>,
    /// Additions to the context, such as the date that quantities are computed for.
    pub(crate) context: Value,
}

impl<'a> Search<'a> {
    pub(crate) fn of(model: &'a str, domain: Value, fields: &'a [&'a str]) -> Self {
        Self { model, domain, fields, order: &[("id", "ASC")], limit: None, context: Value::Null }
    }

    pub(crate) fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }
}

impl Rpc {
    pub(crate) fn new(client: Client, url: String, user: String, password: SecretString, company: i64) -> Self {
        let access = Access { client, url, user, password, company, session: Mutex::new(None) };
        Self { access: Arc::new(access), not_after: None }
    }

    pub(crate) fn until(&self, not_after: Instant) -> Self {
        Self { access: Arc::clone(&self.access), not_after: Some(not_after) }
    }

    /// Calls once; the context is added as the last parameter.
    pub(crate) async fn call(&self, method: &str, params: Vec<Value>) -> Result<Answer, RpcError> {
        self.call_in(method, params, &Value::Null).await
    }

    async fn call_in(&self, method: &str, mut params: Vec<Value>, context: &Value) -> Result<Answer, RpcError> {
        params.push(self.context(context));
        let body = encode(method, &params);
        match self.authorized(method, body.clone()).await {
            Err(RpcError::Warning { name, .. }) if warnings::is_skipped(&name) => {
                let skip = encode("model.res.user.warning.skip", &[json!(name), json!(false), self.context(&Value::Null)]);
                self.authorized("model.res.user.warning.skip", skip).await?;
                self.authorized(method, body).await
            }
            settled => settled,
        }
    }

    pub(crate) async fn search<T: DeserializeOwned>(&self, search: Search<'_>) -> Result<Vec<T>, RpcError> {
        Ok(self.search_at(search).await?.0)
    }

    /// The records, and the server's clock when the answer was sent.
    pub(crate) async fn search_at<T: DeserializeOwned>(&self, search: Search<'_>) -> Result<(Vec<T>, DateTime<Utc>), RpcError> {
        let method = format!("model.{}.search_read", search.model);
        let order: Vec<Value> = search.order.iter().map(|(field, direction)| json!([field, direction])).collect();
        let params = vec![search.domain, json!(0), json!(search.limit), json!(order), json!(search.fields)];
        let answer = self.call_in(&method, params, &search.context).await?;
        let rows = serde_json::from_value(answer.result);
        let rows = rows.map_err(|error| RpcError::Shape { method, what: error.to_string() })?;
        Ok((rows, answer.at))
    }

    /// Creates one record and gives its id.
    pub(crate) async fn create(&self, model: &str, values: Value) -> Result<i64, RpcError> {
        let method = format!("model.{model}.create");
        let answer = self.call(&method, vec![json!([values])]).await?;
        let id = answer.result.as_array().and_then(|ids| ids.first()).and_then(Value::as_i64);
        id.ok_or_else(|| RpcError::Shape { method, what: "no id".to_owned() })
    }

    pub(crate) async fn write(&self, model: &str, id: i64, values: Value) -> Result<(), RpcError> {
        self.call(&format!("model.{model}.write"), vec![json!([id]), values]).await.map(drop)
    }

    /// A button, or another method that takes records and gives nothing worth knowing.
    pub(crate) async fn press(&self, model: &str, button: &str, ids: &[i64]) -> Result<(), RpcError> {
        self.call(&format!("model.{model}.{button}"), vec![json!(ids)]).await.map(drop)
    }

    /// The cheapest call that needs the user, the database and the sale module, and the clock that answered it.
    pub(crate) async fn ping(&self) -> Result<DateTime<Utc>, RpcError> {
        let params = vec![json!([["id", "=", 0]]), json!(0), json!(1), Value::Null];
        Ok(self.call("model.sale.sale.search", params).await?.at)
    }

    fn context(&self, more: &Value) -> Value {
        // Messages are matched nowhere, but people read them: one language for all.
        let mut context = Map::from_iter([("company".to_owned(), json!(self.access.company)), ("language".to_owned(), json!("en"))]);
        if let Value::Object(more) = more {
            context.extend(more.clone());
        }
        Value::Object(context)
    }

    /// A 401 means that nothing was done, so the call is repeated once with a new session.
    async fn authorized(&self, method: &str, body: Bytes) -> Result<Answer, RpcError> {
        let session = self.session(None).await?;
        match self.exchange(method, body.clone(), Some(&session)).await {
            Err(RpcError::Unauthorized | RpcError::Login) => {
                let session = self.session(Some(session.generation)).await?;
                self.exchange(method, body, Some(&session)).await
            }
            settled => settled,
        }
    }

    /// The session that is open, or a new one. `ended` is the generation of one that no longer works. Callers wait for each
    /// other here, so that many calls that meet a dead session log in once.
    async fn session(&self, ended: Option<u64>) -> Result<Session, RpcError> {
        let mut slot = self.access.session.lock().await;
        if let Some(session) = slot.as_ref().filter(|it| Some(it.generation) != ended) {
            return Ok(session.clone());
        }
        let generation = slot.as_ref().map_or(0, |it| it.generation + 1);
        let session = Session { header: self.login().await?, generation };
        *slot = Some(session.clone());
        Ok(session)
    }

    async fn login(&self) -> Result<HeaderValue, RpcError> {
        const METHOD: &str = "common.db.login";
        let params = [json!(self.access.user), json!({"password": self.access.password.expose_secret()}), json!("en")];
        let answer = self.exchange(METHOD, encode(METHOD, &params), None).await?;
        let parts = answer.result.as_array().and_then(|it| Some((it.first()?.as_i64()?, it.get(1)?.as_str()?)));
        let (uid, key) = parts.ok_or_else(|| RpcError::Shape { method: METHOD.to_owned(), what: "no session".to_owned() })?;
        let token = STANDARD.encode(format!("{}:{uid}:{key}", self.access.user));
        let mut header = HeaderValue::from_str(&format!("Session {token}")).expect("base64 is a header value");
        header.set_sensitive(true);
        Ok(header)
    }

    async fn exchange(&self, method: &str, body: Bytes, session: Option<&Session>) -> Result<Answer, RpcError> {
        let mut outgoing = Outgoing::post_json(&self.access.url, body).header(header::ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(session) = session {
            outgoing = outgoing.header(header::AUTHORIZATION, session.header.clone());
        }
        if !is_reading(method) {
            outgoing.not_after = self.not_after;
        }
        match self.access.client.send(outgoing).await {
            Exchange::NotSent(why) => Err(RpcError::NotSent(why)),
            Exchange::Unknown(why) => Err(RpcError::Unknown(why)),
            Exchange::Answered { status, headers, body } => read(method, status, &headers, &body),
        }
    }
}

/// Whether a call leaves Tryton's records as they are.
fn is_reading(method: &str) -> bool {
    matches!(method.rsplit('.').next(), Some("search" | "search_read" | "read" | "login"))
}

fn encode(method: &str, params: &[Value]) -> Bytes {
    // Answers are told apart by their connection; the id must only be there.
    json!({"id": 1, "method": method, "params": params}).to_string().into()
}

fn read(method: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<Answer, RpcError> {
    if status != StatusCode::OK {
        return Err(of_status(method, status, headers, body));
    }
    // The header `Content-Encoding: gzip` of longer answers is wrong unless gzip was asked for, which we never do.
    let foreign = || RpcError::Foreign(method.to_owned());
    let is_json = headers.get(header::CONTENT_TYPE).is_some_and(|it| it.as_bytes().starts_with(b"application/json"));
    if !is_json {
        return Err(foreign());
    }
    let Ok(Value::Object(mut answer)) = serde_json::from_slice::<Value>(body) else { return Err(foreign()) };
    match (answer.remove("result"), answer.remove("error")) {
        (Some(result), None) => Ok(Answer { result, at: clock(headers) }),
        (None, Some(error)) => Err(of_error(method, &error)),
        _ => Err(foreign()),
    }
}

/// The server's clock, in whole seconds. A proxy that drops the header leaves us with our own.
fn clock(headers: &HeaderMap) -> DateTime<Utc> {
    let date = headers.get(header::DATE).and_then(|it| it.to_str().ok());
    date.and_then(|it| DateTime::parse_from_rfc2822(it).ok()).map_or_else(Utc::now, |it| it.to_utc())
}

fn of_status(method: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> RpcError {
    let wait = retry_after(headers, Utc::now());
    let (method, code) = (method.to_owned(), status.as_u16());
    match code {
        401 => RpcError::Unauthorized,
        403 => RpcError::Forbidden(method),
        404 => RpcError::NotFound,
        408 => RpcError::Failed { method, status: code },
        429 => RpcError::TooMany(wait),
        503 if is_lock(body) => RpcError::Locked,
        502..=504 => RpcError::Away { status: code, retry_after: wait },
        500.. => RpcError::Failed { method, status: code },
        // Tryton never sends the caller elsewhere; who did may have sent the request on.
        ..=399 => RpcError::Foreign(method),
        _ => RpcError::Protocol { method, status: code },
    }
}

/// PostgreSQL's words for two transactions in each other's way, as Tryton passes them on.
fn is_lock(body: &[u8]) -> bool {
    const SIGNS: [&str; 4] = ["could not obtain lock", "could not serialize", "deadlock detected", "lock timeout"];
    let text = String::from_utf8_lossy(body);
    SIGNS.iter().any(|it| text.contains(it))
}

/// `["UserError", [text, description, domain]]`, or an exception's text and its trace.
fn of_error(method: &str, error: &Value) -> RpcError {
    let kind = error.get(0).and_then(Value::as_str).unwrap_or_default();
    let detail = error.get(1).unwrap_or(&Value::Null);
    let text = |position: usize| detail.get(position).and_then(Value::as_str).unwrap_or_default();
    match kind {
        "UserError" => RpcError::User(redact(text(0))),
        "UserWarning" => RpcError::Warning { name: text(0).to_owned(), kind: redact(warnings::kind(text(0))), text: redact(text(1)) },
        "ConcurrencyException" => RpcError::Concurrency,
        "LoginException" => RpcError::Login,
        other => RpcError::Exception { method: method.to_owned(), text: redact(other) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fault::{Class, Classify};

    fn answered(status: u16, content_type: &str, body: &str) -> Result<Answer, RpcError> {
        let headers = HeaderMap::from_iter([
            (header::CONTENT_TYPE, content_type.parse().unwrap()),
            (header::DATE, "Wed, 25 Nov 2026 08:06:09 GMT".parse().unwrap()),
        ]);
        read("model.sale.sale.quote", StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes())
    }

    fn check(status: u16, content_type: &str, body: &str, class: Class, code: &str, maybe_applied: bool) {
        let error = answered(status, content_type, body).unwrap_err();
        assert_eq!((error.class(), error.code(), error.maybe_applied()), (class, code, maybe_applied), "{status} {body}");
    }

    #[test]
    fn a_result_may_be_null_and_tells_the_time() {
        let answer = answered(200, "application/json", r#"{"id":1,"result":null}"#).unwrap();
        assert_eq!((answer.result, answer.at.to_rfc3339()), (Value::Null, "2026-11-25T08:06:09+00:00".to_owned()));
    }

    #[test]
    fn refusals_come_as_200() {
        let json = "application/json";
        check(200, json, r#"{"id":1,"error":["UserError",["no",  "",null]]}"#, Class::BusinessRejected, "erp_refused", false);
        check(200, json, r#"{"id":1,"error":["UserWarning",["x.done","no",""]]}"#, Class::BusinessRejected, "erp_warning", false);
        check(200, json, r#"{"id":1,"error":["ConcurrencyException","modified"]}"#, Class::Transient, "erp_concurrent_change", false);
        check(200, json, r#"{"id":1,"error":["LoginException",["a","b"]]}"#, Class::Auth, "erp_unauthorized", false);
        check(200, json, r#"{"id":1,"error":["'nosuch'",""]}"#, Class::BusinessRejected, "erp_exception", true);
    }

    #[test]
    fn what_is_not_trytons_answer_proves_nothing() {
        check(200, "text/html", "<html>Maintenance</html>", Class::Transient, "erp_foreign_answer", true);
        check(200, "application/json", r#"{"id":1,"resu"#, Class::Transient, "erp_foreign_answer", true);
        check(200, "application/json", r#"{"status":"ok"}"#, Class::Transient, "erp_foreign_answer", true);
        check(200, "application/json", "null", Class::Transient, "erp_foreign_answer", true);
    }

    #[test]
    fn a_status_is_read_with_its_body() {
        let html = "text/html; charset=utf-8";
        check(401, html, "", Class::Auth, "erp_unauthorized", false);
        check(403, html, "Forbidden", Class::Auth, "erp_forbidden", false);
        check(404, html, "Not Found", Class::Auth, "erp_database_unknown", false);
        check(422, html, "Missing context argument", Class::BusinessRejected, "erp_protocol", false);
        check(429, html, "", Class::RateLimited, "erp_rate_limited", false);
        check(302, html, "", Class::Transient, "erp_foreign_answer", true);
        check(500, html, "", Class::Transient, "erp_failed", true);
        check(502, html, "", Class::Outage, "erp_away", true);
        check(504, html, "", Class::Outage, "erp_away", true);
        check(503, html, "<p>connection to server failed</p>", Class::Outage, "erp_away", true);
        let lock = "<p>could not obtain lock on row in relation &quot;ir_sequence_strict&quot;</p>";
        check(503, html, lock, Class::Transient, "erp_locked", false);
    }
}
