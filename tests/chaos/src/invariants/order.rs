//! Order per entity, and the offsets that carry it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use sandbox::effects::Kind;
use tokio::time::sleep;

use super::{Evidence, Finding, finding};

pub(super) fn in_order(of: &Evidence<'_>) -> Finding {
    finding(format!("{} orders", of.it.shop.orders().len()), e2e::out_of_order(of.it))
}

/// Orders of an item that the ERP did not know wait, with all that follows them.
pub(super) fn parked_waited(of: &Evidence<'_>) -> Finding {
    finding(format!("{} parked orders", of.done.unbookable.len()), of.before_repair.booked_too_early.clone())
}

pub(super) fn stock_agrees(of: &Evidence<'_>) -> Finding {
    finding(format!("{} items", of.it.erp.stock().len()), [e2e::stock_differs(of.it), of.unseen.clone()].concat())
}

pub(super) fn nothing_after_the_end(of: &Evidence<'_>) -> Finding {
    let mut ended = BTreeSet::new();
    let mut wrong = Vec::new();
    for entry in of.erp.entries().iter().filter(|it| it.kind == Kind::Applied) {
        let Some(id) = entry.external_id.as_deref() else { continue };
        match entry.operation.as_str() {
            "sale.sale.cancel" => {
                ended.insert(id);
            }
            "sale.sale.confirm" | "sale.sale.quote" | "sale.sale.create" if ended.contains(id) => {
                wrong.push(format!("{} of {id} after it was cancelled", entry.operation));
            }
            _ => {}
        }
    }
    finding(format!("{} cancelled in the ERP", ended.len()), wrong)
}

pub(super) fn commits_follow(of: &Evidence<'_>) -> Finding {
    finding(format!("{} looks while it ran", of.seen.looks), of.seen.unbalanced.clone())
}

pub(super) fn commits_only_grow(of: &Evidence<'_>) -> Finding {
    finding(format!("{} looks while it ran", of.seen.looks), of.seen.backward.clone())
}

/// What the ERP says of its stock goes on all the time, so that a look may find the last word of it on its way.
pub(super) async fn no_lag(of: &Evidence<'_>) -> Finding {
    let begun = Instant::now();
    loop {
        let scope = of.it.scope().await.map_err(|it| vec![it])?;
        let behind = scope
            .progress
            .iter()
            .filter(|it| it.is_behind())
            .map(|it| format!("{} is at {:?} of {} in {}[{}]", it.group, it.committed, it.end, it.topic, it.partition));
        let behind: Vec<String> = behind.collect();
        if behind.is_empty() || begun.elapsed() > LAG_MAX {
            return finding(format!("{} partitions", scope.progress.len()), [of.restless.clone(), behind].concat());
        }
        sleep(Duration::from_millis(200)).await;
    }
}

const LAG_MAX: Duration = Duration::from_secs(60);
