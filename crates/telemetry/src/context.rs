//! The trace context between processes: W3C `traceparent` and `tracestate` in record headers. Baggage does not travel: it would
//! carry whatever somebody put into it to every subscriber.

use contracts::headers::{Headers, TRACEPARENT, TRACESTATE};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Writes the current span's context. A record that has one keeps it: that is where its trace began, and whoever sends the
/// record again (a relay, a replay) links to it instead.
pub fn inject(headers: &mut Headers) {
    inject_context(&Context::current(), headers);
}

/// As [`inject`], of a span that is not the current one.
pub fn inject_of(span: &Span, headers: &mut Headers) {
    inject_context(&span.context(), headers);
}

fn inject_context(context: &Context, headers: &mut Headers) {
    if headers.get(TRACEPARENT).is_none() {
        TraceContextPropagator::new().inject_context(context, &mut Carrier(headers));
    }
}

/// The context that a record was made in; `None` where it carries none, or one that is no such thing.
pub fn extract(headers: &Headers) -> Option<SpanContext> {
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &View(headers));
    let made_in = context.span().span_context().clone();
    made_in.is_valid().then_some(made_in)
}

/// The current trace, 32 hexadecimal digits: for logs, letters and answers that an operator may quote.
pub fn current_trace_id() -> Option<String> {
    let context = Context::current();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| span.trace_id().to_string())
}

/// The trace that a record belongs to, in the same form.
pub fn trace_id_of(headers: &Headers) -> Option<String> {
    extract(headers).map(|it| it.trace_id().to_string())
}

/// What [`inject`] writes as `traceparent`, for carriers that are no record.
pub fn current_traceparent() -> Option<String> {
    let mut headers = Headers::default();
    inject(&mut headers);
    headers.text(TRACEPARENT).map(str::to_owned)
}

struct Carrier<'a>(&'a mut Headers);

impl Injector for Carrier<'_> {
    fn set(&mut self, name: &str, value: String) {
        // The propagator also says that there is no state.
        if name != TRACESTATE || !value.is_empty() {
            self.0.set(name, value);
        }
    }
}

struct View<'a>(&'a Headers);

impl Extractor for View<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.text(name)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(traceparent: &str) -> Headers {
        let mut headers = Headers::default();
        headers.push(TRACEPARENT, traceparent.to_owned());
        headers
    }

    fn made_in(traceparent: &str) -> Context {
        Context::new().with_remote_span_context(extract(&headers(traceparent)).unwrap())
    }

    #[test]
    fn a_context_goes_out_as_it_came_in_and_no_empty_state_with_it() {
        let mut out = Headers::default();
        inject_context(&made_in(PARENT), &mut out);
        assert_eq!(out, headers(PARENT));
        assert_eq!(trace_id_of(&out).as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
    }

    #[test]
    fn a_state_travels_along() {
        let mut told = headers(PARENT);
        told.push(TRACESTATE, "shop=7");
        let mut out = Headers::default();
        inject_context(&Context::new().with_remote_span_context(extract(&told).unwrap()), &mut out);
        assert_eq!(out, told);
    }

    #[test]
    fn the_context_that_a_record_was_made_in_stays() {
        let mut out = headers("00-11111111111111111111111111111111-2222222222222222-00");
        let before = out.clone();
        inject_context(&made_in(PARENT), &mut out);
        assert_eq!(out, before);
    }

    #[test]
    fn what_is_no_context_is_none() {
        for text in ["", "00", "00-0-0-0", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", &format!("{PARENT}-01")] {
            assert_eq!(extract(&headers(text)), None, "{text}");
        }
        assert_eq!(extract(&Headers::default()), None);
        let mut binary = Headers::default();
        binary.push(TRACEPARENT, &b"\xff\xfe"[..]);
        assert_eq!(extract(&binary), None);
    }

    #[test]
    fn without_a_span_nothing_is_written() {
        let mut out = Headers::default();
        inject(&mut out);
        inject_of(&Span::none(), &mut out);
        assert!(out.is_empty());
        assert_eq!(current_trace_id(), None);
        assert_eq!(current_traceparent(), None);
    }
}
