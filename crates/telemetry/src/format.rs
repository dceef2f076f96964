//! How a log line looks.

use std::fmt;

use opentelemetry::trace::TraceContextExt as _;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{Format, Json as JsonFormat, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// One object per line. `service`, `trace_id` and `span_id` stand at its top, where log stores look for them.
pub(crate) struct Json {
    inner: Format<JsonFormat>,
    service: String,
}

impl Json {
    pub(crate) fn new(service: &str) -> Self {
        let inner = tracing_subscriber::fmt::format().json().flatten_event(true).with_current_span(true).with_span_list(false);
        Self { inner, service: service.chars().filter(|it| !matches!(it, '"' | '\\') && !it.is_control()).collect() }
    }
}

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = String::with_capacity(512);
        self.inner.format_event(ctx, Writer::new(&mut line), event)?;
        let Some(rest) = line.strip_prefix('{') else { return writer.write_str(&line) };
        write!(writer, r#"{{"service":"{}","#, self.service)?;
        let context = opentelemetry::Context::current();
        let span = context.span();
        let span = span.span_context();
        if span.is_valid() {
            write!(writer, r#""trace_id":"{}","span_id":"{}","#, span.trace_id(), span.span_id())?;
        }
        writer.write_str(rest)
    }
}

/// `name=value` for people: without what only traces need, and by the names that we speak of.
pub(crate) struct Readable;

impl<'writer> FormatFields<'writer> for Readable {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut line = Line { writer, is_empty: true, result: Ok(()) };
        fields.record(&mut line);
        line.result
    }
}

struct Line<'writer> {
    writer: Writer<'writer>,
    is_empty: bool,
    result: fmt::Result,
}

impl Line<'_> {
    fn put(&mut self, name: &str, value: fmt::Arguments<'_>) {
        let Some(name) = spoken(name) else { return };
        let space = if self.is_empty { "" } else { " " };
        self.is_empty = false;
        self.result = self.result.and_then(|()| match name {
            "message" => write!(self.writer, "{space}{value}"),
            _ => write!(self.writer, "{space}{name}={value}"),
        });
    }
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.put(field.name(), format_args!("{value}"));
        } else {
            self.put(field.name(), format_args!("{value:?}"));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format_args!("{value:?}"));
    }
}

fn spoken(name: &str) -> Option<&str> {
    match name {
        "messaging.destination.name" => Some("topic"),
        "messaging.destination.partition.id" => Some("partition"),
        "messaging.kafka.offset" => Some("offset"),
        "messaging.consumer.group.name" => Some("group"),
        "messaging.message.id" => Some("id"),
        _ if name.starts_with("otel.") || name.starts_with("messaging.") => None,
        _ => Some(name),
    }
}
