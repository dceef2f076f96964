use pipeline::{Next, Turn};

use super::group::{Group, at, generator, new_order, said};

/// A failed record leaves nothing behind, and nobody else behind.
#[tokio::test]
async fn a_batch_is_decided_in_one_transaction_each_record_for_itself() {
    let group = Group::new().await;
    let mut generator = generator();
    let mut orders: Vec<_> = (0..200).map(|_| new_order(&mut generator, 0)).collect();
    group.settle(&group.order("orders/create", &orders[3])).await;
    orders.iter_mut().for_each(|it| it.annotate("all of them", at(5)));
    let mut batch: Vec<_> = orders.iter().map(|it| group.order("orders/updated", it)).collect();
    batch.push(group.webhook("orders/create", "bad", at(0), "no json"));
    batch.push(group.webhook("app/uninstalled", "app", at(0), "{}"));
    let nexts = group.commit(batch.into_iter().map(|it| (it, Turn::Arrived)).collect()).await;
    let said: Vec<_> = nexts
        .iter()
        .map(|next| match next {
            Next::Act(outputs) => said(&outputs[0]),
            Next::Done | Next::Lettered => "done".to_owned(),
            Next::Fail(_) => "failed".to_owned(),
            Next::Later(_) => "later".to_owned(),
        })
        .collect();
    assert_eq!(said.iter().filter(|it| *it == "Created order 1").count(), 199);
    assert_eq!((said[3].as_str(), said[200].as_str(), said[201].as_str()), ("Updated order 2", "failed", "done"));
    assert_eq!(group.count("select count(*) from ingest.entity where kind = 'order'").await, 200);
    assert_eq!(group.count("select count(*) from ingest.decision").await, 202);
}
