use opentelemetry::{KeyValue, global};
use telemetry::Settings;
use telemetry::testing::install_once;

/// The only test here that installs for the whole process: instruments are found through it.
#[test]
fn metrics_are_rendered_with_names_help_and_no_scope() {
    let seen = install_once(&Settings::default());
    let meter = global::meter("tradewind");
    let settled = meter.u64_counter("tradewind_settled_records").with_description("Records settled for good").build();
    settled.add(3, &[KeyValue::new("group", "order-router")]);
    let seconds = meter.f64_histogram("tradewind_commit_duration_seconds").with_description("One commit").build();
    seconds.record(0.25, &[]);
    let text = seen.guard().metrics().render();
    for line in [
        "# HELP tradewind_settled_records_total Records settled for good",
        "# TYPE tradewind_settled_records_total counter",
        r#"tradewind_settled_records_total{group="order-router"} 3"#,
        "tradewind_commit_duration_seconds_sum 0.25",
        "# TYPE process_resident_memory_bytes gauge",
        "# TYPE process_open_fds gauge",
        r#"service_name="test""#,
        "tradewind_build_info{",
    ] {
        assert!(text.contains(line), "`{line}` is not in:\n{text}");
    }
    assert!(!text.contains("otel_scope"), "{text}");
}
