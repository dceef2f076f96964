use contracts::topics;
use http::StatusCode;
use sandbox::payloads::{Generator, OrderWish, PayloadSettings};
use telemetry::spans::trace_id_of;

use super::group::at;
use super::rig::{Rig, hasty};

/// One trace from the request to the event, also where only errors are logged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_and_the_event_that_it_became_are_one_trace() {
    let settings = telemetry::Settings { level: "error".to_owned(), ..telemetry::Settings::default() };
    let seen = telemetry::testing::install_once(&settings);
    let Some(kafka) = testkit::kafka().await else { return };
    let rig = Rig::on(kafka, hasty()).await;
    let running = rig.start().await;
    let order = Generator::new(PayloadSettings::default()).order(&OrderWish::default(), at(0)).unwrap();
    assert_eq!(rig.deliver("w1", order.to_rest().to_string()).await.status, StatusCode::OK);
    let raw = rig.records(topics::RAW, 1).await.remove(0);
    let event = rig.records(topics::ORDERS, 1).await.remove(0);
    let trace = trace_id_of(&raw.headers).expect("the raw record is in a trace");
    assert_eq!(trace_id_of(&event.headers).as_ref(), Some(&trace));
    rig.settled().await;
    running.stop().await;
    let spans = seen.trace(&trace);
    let server = spans.iter().find(|it| it.kind == "server").expect("it began at the door");
    assert_eq!((server.name.as_str(), &server.parent), ("POST /webhooks/{connection}", &None));
    assert_eq!(server.attributes["http.response.status_code"], "200");
    let process = spans.iter().find(|it| it.kind == "consumer").expect("and went on in the mapper");
    assert_eq!(process.parent.as_ref(), Some(&server.span_id));
}
