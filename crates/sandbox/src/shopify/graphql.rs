//! The GraphQL endpoint: token, points, scripted faults, and the operations that connectors use. No whole engine: roots are
//! looked up by name, and what they show is cut to the selection of the query.

mod arguments;
mod cost;
mod error;
mod mutations;
mod parse;
mod project;
mod queries;
mod search;
mod views;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, Request as HttpRequest, StatusCode};
use http_body_util::BodyExt;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Shop;
use super::bucket::Admission;
use super::delivery::Delivery;
use super::world::Act;
use crate::effects::{Draft, Kind};
use crate::faults::{Facts, Wire, spoil};

use arguments::Request;
use error::GraphqlError;
use parse::{Document, OperationKind, parse};
use project::Spent;

pub const ACCESS_TOKEN: HeaderName = HeaderName::from_static("x-shopify-access-token");
const API_VERSION: HeaderName = HeaderName::from_static("x-shopify-api-version");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// More is refused, as by any sane server.
const BODY_MAX: usize = 4 * 1024 * 1024;

#[derive(Debug, Deserialize)]
struct Call {
    query: String,
    #[serde(default)]
    variables: Option<Map<String, Value>>,
    #[serde(default, rename = "operationName")]
    operation_name: Option<String>,
}

/// `POST /admin/api/{version}/graphql.json`
pub(super) async fn answer(State(shop): State<Shop>, Path(version): Path<String>, request: HttpRequest<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let wire = parts.extensions.get::<Wire>().cloned().expect("every request of a gate carries its wire");
    if let Some(rule) = shop.0.plan.early() {
        return spoil(&rule.fault, &wire, None).await;
    }
    let token = parts.headers.get(ACCESS_TOKEN).map(HeaderValue::as_bytes);
    let Ok(body) = http_body_util::Limited::new(body, BODY_MAX).collect().await.map(http_body_util::Collected::to_bytes) else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    shop.0.pace.wait().await;
    if token != Some(shop.0.settings.access_token.expose_secret().as_bytes()) {
        let errors = json!({ "errors": "the access token is missing or wrong" });
        return (StatusCode::UNAUTHORIZED, Json(errors)).into_response();
    }
    if !is_version(&version) {
        return (StatusCode::NOT_FOUND, Json(json!({ "errors": "Not Found" }))).into_response();
    }
    let call = match serde_json::from_slice::<Call>(&body) {
        Ok(call) => call,
        Err(error) => return (StatusCode::BAD_REQUEST, Json(json!({ "errors": { "query": error.to_string() } }))).into_response(),
    };
    carry_out(&shop, &version, &call, &wire).await
}

/// Faults stand around the work: instead of it, or after it.
async fn carry_out(shop: &Shop, version: &str, call: &Call, wire: &Wire) -> Response {
    let document = parse(&call.query);
    let facts = document.as_ref().map_or_else(|_| Facts::default(), |it| facts(it, call));
    let number = shop.0.log.append([Draft::new(Kind::Received, &facts.operation).detail(version)]);
    let rule = shop.0.plan.hit(&facts);
    let works = rule.as_ref().is_none_or(|it| it.apply || it.fault.needs_answer());
    let answer = works.then(|| {
        let answer = match &document {
            Ok(document) => shop.run(version, document, call, number),
            Err(error) => errors(&[GraphqlError::new("PARSE_ERROR", error.to_string())]),
        };
        let headers = [(API_VERSION, version.to_owned()), (REQUEST_ID, number.to_string())];
        (headers, Json(answer)).into_response()
    });
    shop.0.log.sync().await;
    let said = rule.as_ref().map_or_else(|| "answered".to_owned(), |it| it.fault.name());
    shop.0.log.append([Draft::new(Kind::Answered, facts.operation).request(number).detail(said)]);
    match (rule, answer) {
        (Some(rule), answer) => spoil(&rule.fault, wire, answer).await,
        (None, answer) => answer.expect("without a fault the work is done"),
    }
}

impl Shop {
    /// One request, as a whole under the shop's lock: the platform serialises changes of one level, too.
    fn run(&self, version: &str, document: &Document, call: &Call, number: u64) -> Value {
        let mut deliveries = Vec::new();
        let answer = self.run_locked(version, document, call, number, &mut deliveries).unwrap_or_else(|error| errors(&[error]));
        self.dispatch(&deliveries);
        answer
    }

    fn run_locked(
        &self,
        version: &str,
        document: &Document,
        call: &Call,
        number: u64,
        deliveries: &mut Vec<Delivery>,
    ) -> Result<Value, GraphqlError> {
        let none = Map::new();
        let request = Request::new(document, call.operation_name.as_deref(), call.variables.as_ref().unwrap_or(&none))?;
        let requested = cost::requested(&request)?;
        if requested > cost::COST_MAX {
            let message = format!("the query costs {requested} points, at most {} are allowed", cost::COST_MAX);
            return Err(GraphqlError::new("MAX_COST_EXCEEDED", message));
        }
        let world = &mut *self.world();
        if world.bucket.admit(requested) == Admission::Throttled {
            let mut answer = errors(&[GraphqlError::new("THROTTLED", "Throttled")]);
            answer["extensions"] = world.bucket.extensions(requested, None);
            return Ok(answer);
        }
        let mut spent = Spent::default();
        let mut act = Act::now();
        let (mut data, mut failed) = (Map::new(), Vec::new());
        let is_mutation = request.operation.kind == OperationKind::Mutation;
        for field in request.fields(&request.operation.selections, if is_mutation { "Mutation" } else { "QueryRoot" })? {
            let shown = if is_mutation {
                spent.0 += cost::MUTATION;
                mutations::run(world, field, &request, version, &mut act, &mut spent)
            } else {
                queries::run(world, &self.0.settings, field, &request, &mut spent)
            };
            let shown = shown.unwrap_or_else(|error| {
                failed.push(error.within(field.key()));
                Value::Null
            });
            data.insert(field.key().to_owned(), shown);
        }
        if !act.drafts.is_empty() {
            let event_id = world.uuid();
            deliveries.extend(world.deliveries(&act, &event_id));
            self.0.log.append(std::mem::take(&mut act.drafts).into_iter().map(|it| it.request(number)));
        }
        world.bucket.take(spent.0);
        let extensions = world.bucket.extensions(requested, Some(spent.0));
        let mut answer = if failed.is_empty() { json!({}) } else { errors(&failed) };
        // What the schema does not know is found before anything runs: then there is no data at all.
        if failed.len() < data.len() {
            answer["data"] = Value::Object(data);
        }
        answer["extensions"] = extensions;
        Ok(answer)
    }
}

fn errors(all: &[GraphqlError]) -> Value {
    json!({ "errors": all.iter().map(GraphqlError::to_json).collect::<Vec<_>>() })
}

/// Root fields, and the ids and keys that are named anywhere in the request. Of what makes no sense nothing is known.
fn facts(document: &Document, call: &Call) -> Facts {
    let none = Map::new();
    let read = || -> Result<Facts, GraphqlError> {
        let request = Request::new(document, call.operation_name.as_deref(), call.variables.as_ref().unwrap_or(&none))?;
        let fields = request.fields(&request.operation.selections, "QueryRoot")?;
        let mut facts = Facts { operation: fields.iter().map(|it| it.name.as_str()).collect::<Vec<_>>().join(","), ..Facts::default() };
        for field in fields {
            let of_directives = field.directives.iter().map(|it| &it.arguments);
            for arguments in of_directives.chain([&field.arguments]) {
                texts(&Value::Object(request.arguments(arguments)?), &mut facts.subjects);
            }
        }
        Ok(facts)
    };
    read().unwrap_or_default()
}

fn texts(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) => into.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|it| texts(it, into)),
        Value::Object(fields) => fields.values().for_each(|it| texts(it, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// `2026-07`, or `unstable`.
fn is_version(version: &str) -> bool {
    let shape = version.split_once('-').is_some_and(|(year, month)| {
        year.len() == 4 && year.parse::<u16>().is_ok() && month.len() == 2 && month.parse::<u8>().is_ok_and(|it| (1..=12).contains(&it))
    });
    shape || version == "unstable"
}

/// The number at the end of `gid://shopify/<kind>/<number>`.
fn id_of(gid: &Value, kind: &str) -> Result<u64, GraphqlError> {
    let text = gid.as_str().unwrap_or_default();
    let number = text.strip_prefix("gid://shopify/").and_then(|it| it.strip_prefix(kind)).and_then(|it| it.strip_prefix('/'));
    let number = number.and_then(|it| it.split('?').next()).and_then(|it| it.parse().ok());
    number.ok_or_else(|| GraphqlError::new("INVALID_ID", format!("`{gid}` is no id of a {kind}: write gid://shopify/{kind}/1")))
}
