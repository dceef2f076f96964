//! The spans of a record's way, named by the OpenTelemetry semantic conventions 1.44 (messaging is "development" there).
//!
//! The conventions correlate producer and consumer by links, because a batch has many parents. We process one record at a time
//! even where we commit in batches, and outside of any other span; for that case they allow the consumer to be a child as
//! well. So [`process`] is a child of the context in the record *and* linked to it: a webhook, what Kafka carried of it and
//! the request to the ERP are one trace, and tools that follow links find the same way.
//!
//! Fields that are declared empty are filled with `Span::record`. Nothing here holds personal data: ids, names, numbers.

use std::fmt;

use contracts::headers::{CE_ID, CE_SUBJECT, Headers};
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use tracing::field::Empty;
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::context::extract;
pub use crate::context::{current_trace_id, current_traceparent, inject, inject_of, trace_id_of};

/// One record, from its delivery to `group` until it is settled: retries and waits included.
pub fn process(group: &str, topic: &str, partition: i32, offset: i64, headers: &Headers) -> Span {
    let span = info_span!(
        "process",
        otel.name = %Name("process", topic),
        otel.kind = "consumer",
        messaging.system = "kafka",
        messaging.operation.name = "process",
        "messaging.operation.type" = "process",
        messaging.destination.name = topic,
        messaging.destination.partition.id = partition,
        messaging.kafka.offset = offset,
        messaging.consumer.group.name = group,
        messaging.message.id = headers.text(CE_ID),
        entity = headers.text(CE_SUBJECT),
        "error.type" = Empty,
    );
    if let Some(made_in) = extract(headers) {
        // Fails where nobody listens to spans, which is no failure.
        span.set_parent(Context::new().with_remote_span_context(made_in.clone())).ok();
        span.add_link(made_in);
    }
    span
}

/// A produce until its delivery report. The record's own context, if it has one, is linked.
pub fn send(topic: &str, headers: &Headers) -> Span {
    let span = info_span!(
        "send",
        otel.name = %Name("send", topic),
        otel.kind = "producer",
        messaging.system = "kafka",
        messaging.operation.name = "send",
        "messaging.operation.type" = "send",
        messaging.destination.name = topic,
        messaging.message.id = headers.text(CE_ID),
        "error.type" = Empty,
    );
    if let Some(made_in) = extract(headers) {
        span.add_link(made_in);
    }
    span
}

/// A request that somebody sends us; `route` is the template, never the path. It begins a trace of its own: whoever knocks
/// at a public door does not decide which trace we write, or whether it is sampled.
pub fn server(method: &str, route: &str) -> Span {
    info_span!(
        parent: None,
        "server",
        otel.name = %Name(method, route),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
        "error.type" = Empty,
    )
}

/// A request that we send: `name` is the operation (`create_order`), `peer` the other side by the name it has in the settings.
pub fn client(name: &str, peer: &str) -> Span {
    info_span!(
        "client",
        otel.name = %Name(name, peer),
        otel.kind = "client",
        otel.status_code = Empty,
        peer.service = peer,
        operation = name,
        http.response.status_code = Empty,
        "error.type" = Empty,
    )
}

/// Work that nobody asked for: a sweep, a timer, a capture. It begins a trace.
pub fn job(name: &'static str) -> Span {
    info_span!(parent: None, "job", otel.name = name, otel.status_code = Empty, "error.type" = Empty)
}

/// Says that the span's work failed; `code` is the error's, from a closed set.
pub fn fail(span: &Span, code: &str) {
    span.record("error.type", code);
    span.set_status(opentelemetry::trace::Status::error(code.to_owned()));
}

/// `process tradewind.orders.v1`
struct Name<'a>(&'a str, &'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.1)
    }
}
