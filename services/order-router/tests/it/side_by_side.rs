use std::sync::Arc;

use domain::FinancialState::Paid;

use super::group::{Group, RULES};
use super::shop::{order, order_record, refund, refund_record};

/// While partitions move, one process may decide about an order and another about its refund at the same moment. Whoever comes
/// second sees what the first did: no refund waits for an order that is placed.
#[tokio::test]
async fn two_processes_never_miss_each_other() {
    let first = Arc::new(Group::new().await);
    let second = Arc::new(Group::over(first.store.clone(), RULES));
    for round in 0..40 {
        let id = format!("o{round}");
        let (order, refund) = (order_record(1, order(&id, Paid)), refund_record(1, refund(&format!("r{round}"), &id)));
        let (placed, booked) = tokio::join!(first.settle(&order), second.settle(&refund));
        let together = format!("{placed} | {booked}");
        assert!(["place_order, book_refund | done", "place_order | book_refund"].contains(&together.as_str()), "{together}");
    }
    assert_eq!(first.count("select count(*) from router.refund where state = 'waiting'").await, 0);
    assert_eq!(first.count("select count(*) from router.decision where state = 'in_flight'").await, 0);
}
