use contracts::headers::TRACEPARENT;
use domain::FinancialState::Paid;
use pipeline::Next;
use telemetry::spans::trace_id_of;

use super::group::Group;
use super::shop::{order, order_record};

#[tokio::test]
async fn a_command_carries_the_trace_of_its_order() {
    let _seen = telemetry::testing::install_once(&telemetry::Settings::default());
    let group = Group::new().await;
    let mut record = order_record(1, order("7", Paid));
    record.headers.push(TRACEPARENT, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let Next::Act(outputs) = group.arrives(&record).await else { panic!("it is placed") };
    assert_eq!(trace_id_of(&outputs[0].headers).as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
    assert_ne!(outputs[0].headers.get(TRACEPARENT), record.headers.get(TRACEPARENT), "by a span of its own");
}
