use contracts::headers::{CE_ID, CE_SUBJECT, Headers, TRACEPARENT};
use telemetry::testing::{Seen, build};
use telemetry::{Format, Settings, spans};

fn installed(level: &str, format: Format) -> (tracing::dispatcher::DefaultGuard, Seen) {
    let (dispatch, seen) = build(&Settings { level: level.to_owned(), format, ..Settings::default() }).unwrap();
    (tracing::dispatcher::set_default(&dispatch), seen)
}

fn record() -> Headers {
    let mut headers = Headers::default();
    headers.push(CE_ID, "0b6f1f4e-0000-5000-8000-000000000001");
    headers.push(CE_SUBJECT, "acme/order/1001");
    headers.push(TRACEPARENT, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    headers
}

#[test]
fn the_level_changes_at_run_time_and_a_typo_changes_nothing() {
    let (_installed, seen) = installed("error", Format::Text);
    let level = seen.guard().log_level();
    let say = |what: &str| tracing::info!("{what}");
    say("before");
    level.set("info").unwrap();
    say("between");
    let error = level.set("loud").unwrap_err();
    assert!(error.to_string().contains("`loud` is no log filter"), "{error}");
    assert_eq!(level.get(), "info");
    say("still");
    level.set("info,it::it::logs=error").unwrap();
    say("after");
    let log = seen.log();
    assert_eq!(["before", "between", "still", "after"].map(|it| log.contains(it)), [false, true, true, false], "{log}");
}

#[test]
fn an_error_names_its_record_even_where_the_level_is_error() {
    let (_installed, seen) = installed("error", Format::Text);
    let span = spans::process("group", "tradewind.orders.v1", 0, 0, &record());
    span.record("messaging.kafka.offset", 17);
    span.in_scope(|| tracing::error!(code = "erp_unknown_item", "given up"));
    let log = seen.log();
    for part in [r#"topic="tradewind.orders.v1""#, "offset=17", r#"entity="acme/order/1001""#, "given up", r#"code="erp_unknown_item""#] {
        assert!(log.contains(part), "{part} is not in {log}");
    }
    assert!(!log.contains("otel.") && !log.contains("messaging."), "{log}");
}

#[test]
fn a_json_line_has_service_and_trace_at_its_top() {
    let (_installed, seen) = installed("info", Format::Json);
    tracing::info!("started");
    spans::process("group", "tradewind.orders.v1", 0, 0, &record()).in_scope(|| tracing::warn!(attempts = 3, "again"));
    let log = seen.log();
    let lines: Vec<serde_json::Value> = log.lines().map(|it| serde_json::from_str(it).unwrap_or_else(|_| panic!("{it}"))).collect();
    assert_eq!((lines[0]["message"].as_str(), lines[0]["service"].as_str()), (Some("started"), Some("test")));
    assert_eq!(lines[0].get("trace_id"), None);
    assert_eq!(lines[1]["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(lines[1]["span_id"].as_str().map(str::len), Some(16));
    assert_eq!((lines[1]["attempts"].as_i64(), lines[1]["level"].as_str()), (Some(3), Some("WARN")));
    assert_eq!(lines[1]["span"]["messaging.destination.name"], "tradewind.orders.v1");
}
