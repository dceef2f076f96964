use contracts::headers::{CE_ID, Headers, TRACEPARENT};
use telemetry::testing::{Seen, build};
use telemetry::{Settings, spans};
use tracing::{Instrument as _, Level};

const TOPIC: &str = "tradewind.orders.v1";

fn at_level(level: &str) -> (tracing::dispatcher::DefaultGuard, Seen) {
    let (dispatch, seen) = build(&Settings { level: level.to_owned(), ..Settings::default() }).unwrap();
    (tracing::dispatcher::set_default(&dispatch), seen)
}

#[test]
fn records_carry_their_trace_whatever_the_log_level() {
    for level in ["error", "off", "info", "trace"] {
        let (_installed, _seen) = at_level(level);
        let span = spans::server("POST", "/hooks/{connection}");
        let mut headers = Headers::default();
        span.in_scope(|| spans::inject(&mut headers));
        let traceparent = headers.text(TRACEPARENT).unwrap_or_else(|| panic!("no traceparent at level {level}"));
        assert!(traceparent.starts_with("00-") && traceparent.ends_with("-01"), "{traceparent}");
        assert_eq!(traceparent.len(), 55);
    }
}

#[test]
fn a_webhook_its_record_and_the_request_to_the_erp_are_one_trace() {
    let (_installed, seen) = at_level("error");

    let mut raw = Headers::default();
    raw.push(CE_ID, "0b6f1f4e-0000-5000-8000-000000000001");
    let door = spans::server("POST", "/hooks/{connection}");
    door.in_scope(|| spans::send("tradewind.raw.v1", &raw).in_scope(|| spans::inject(&mut raw)));
    drop(door);

    let mut command = Headers::default();
    let mapper = spans::process("group", "tradewind.raw.v1", 0, 0, &raw);
    spans::inject_of(&mapper, &mut command);
    drop(mapper);

    let adapter = spans::process("group", "tradewind.commands.erp.main.v1", 0, 0, &command);
    adapter.in_scope(|| {
        let request = spans::client("create_order", "main");
        spans::fail(&request, "http_500");
    });
    drop(adapter);

    let all = seen.spans();
    let named = |name: &str| all.iter().find(|it| it.name == name).unwrap_or_else(|| panic!("no `{name}` among {all:#?}"));
    let server = named("POST /hooks/{connection}");
    let send = named("send tradewind.raw.v1");
    let mapper = named("process tradewind.raw.v1");
    let adapter = named("process tradewind.commands.erp.main.v1");
    let client = named("create_order main");
    assert_eq!(seen.trace(&server.trace_id).len(), 5, "{all:#?}");
    assert_eq!([server, send, mapper, adapter, client].map(|it| it.kind), ["server", "producer", "consumer", "consumer", "client"]);
    assert_eq!(server.parent, None);
    for (child, parent) in [(send, server), (mapper, send), (adapter, mapper), (client, adapter)] {
        assert_eq!(child.parent.as_ref(), Some(&parent.span_id), "{} under {}", child.name, parent.name);
    }
    assert_eq!(mapper.links, std::slice::from_ref(&send.span_id), "tools that follow links find the producer as well");
    assert!(client.failed && !adapter.failed);
    assert_eq!(client.attributes["error.type"], "http_500");
    for (name, value) in [
        ("messaging.system", "kafka"),
        ("messaging.operation.name", "process"),
        ("messaging.operation.type", "process"),
        ("messaging.destination.name", "tradewind.raw.v1"),
        ("messaging.consumer.group.name", "group"),
        ("messaging.message.id", "0b6f1f4e-0000-5000-8000-000000000001"),
    ] {
        assert_eq!(mapper.attributes[name], value, "{name}");
    }
    assert!(!mapper.attributes.contains_key("error.type"), "what is not filled is not there");
}

#[test]
fn a_visitor_does_not_choose_the_trace_and_a_job_begins_one() {
    let (_installed, seen) = at_level("info");
    spans::server("GET", "/a").in_scope(|| {
        drop(spans::server("GET", "/b"));
        drop(spans::job("sweep"));
    });
    let spans = seen.spans();
    assert_eq!(spans.len(), 3);
    assert!(spans.iter().all(|it| it.parent.is_none()));
}

#[test]
fn a_record_without_context_begins_a_trace() {
    let (_installed, seen) = at_level("error");
    let mut headers = Headers::default();
    headers.push(TRACEPARENT, "no such thing");
    drop(spans::process("group", TOPIC, 0, 0, &headers));
    let [span] = &seen.spans()[..] else { panic!("one span") };
    assert_eq!((span.parent.as_ref(), span.links.len()), (None, 0));
    assert_eq!(span.trace_id.len(), 32);
}

#[test]
fn a_trace_that_was_not_sampled_stays_so_and_still_travels() {
    let (_installed, seen) = at_level("error");
    let mut headers = Headers::default();
    headers.push(TRACEPARENT, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
    let mut out = Headers::default();
    let span = spans::process("group", TOPIC, 0, 0, &headers);
    spans::inject_of(&span, &mut out);
    drop(span);
    let traceparent = out.text(TRACEPARENT).unwrap();
    assert!(traceparent.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && traceparent.ends_with("-00"), "{traceparent}");
    assert!(seen.spans().is_empty());
}

/// A span that only the log sees stands between: the record's context is the nearest that traces know.
#[tokio::test]
async fn the_context_is_that_of_the_nearest_traced_span_also_over_awaits() {
    let (_installed, _seen) = at_level("trace");
    let span = spans::job("sweep");
    let mut headers = Headers::default();
    let work = async {
        tokio::task::yield_now().await;
        let _inner = tracing::span!(Level::TRACE, "only logged").entered();
        spans::inject(&mut headers);
        spans::current_trace_id()
    };
    let trace_id = work.instrument(span).await.expect("there is a trace");
    assert_eq!(spans::trace_id_of(&headers), Some(trace_id));
}
