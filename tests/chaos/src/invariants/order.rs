//! Order per entity, and the offsets that carry it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use contracts::wire::Changed;
use contracts::{headers, topics};
use domain::EntityKind;
use sandbox::effects::Kind;
use testkit::commits;
use testkit::records::{self, Seen};
use tokio::time::sleep;

use super::{Evidence, Finding, finding};

pub(super) async fn in_order(of: &Evidence<'_>) -> Finding {
    let (mut changes, mut wrong) = (0, e2e::out_of_order(of.it));
    for kind in [EntityKind::Order, EntityKind::Refund, EntityKind::Customer] {
        let topic = of.it.bus.topic(topics::changes(kind));
        let seen = records::read_all(&of.it.bus.brokers, &topic).await.map_err(|it| vec![format!("{it:#}")])?;
        changes += seen.len();
        wrong.extend(older_after_newer(&seen));
    }
    finding(format!("{} orders, {changes} changes", of.it.shop.orders().len()), wrong)
}

/// Changes of a topic that a newer one of the same entity came before, by the entity's own counter or by the version that the
/// shop gave it. The same event again is none.
fn older_after_newer(seen: &[Seen]) -> Vec<String> {
    let (mut ids, mut newest) = (BTreeSet::new(), BTreeMap::new());
    let mut wrong = Vec::new();
    for it in seen.iter().filter(|it| ids.insert(it.header(headers::CE_ID).to_owned())) {
        let subject = it.header(headers::CE_SUBJECT);
        let place = format!("{subject} at {}@{}", it.partition, it.offset);
        match Changed::decode(it.header(headers::CE_TYPE), &it.value) {
            Ok(Changed { change, .. }) => {
                let version = (change.sequence, change.source_version);
                let before = newest.insert(subject.to_owned(), version.clone());
                if before.is_some_and(|before: (u64, String)| version.0 <= before.0 || version.1 < before.1) {
                    wrong.push(format!("{place} is older than what came before it"));
                }
            }
            Err(error) => wrong.push(format!("{place}: {error}")),
        }
    }
    wrong
}

/// Orders of an item that the ERP did not know wait, with all that follows them.
pub(super) async fn parked_waited(of: &Evidence<'_>) -> Finding {
    // Where the latest wins, letters park nothing.
    let sql = "select format('%s worked off number %s of %s before number %s', late.grp, late.ordinal, late.aggregate, first.ordinal)
               from letters.letter first join letters.letter late using (grp, aggregate)
               where first.ordinal < late.ordinal and late.state = 'applied' and first.state not in ('superseded', 'discarded')
                 and coalesce(first.settled_at > late.settled_at, true) and grp not in ('mapper', 'inventory-sync')";
    let overtaken: Vec<String> = sqlx::query_scalar(sql).fetch_all(of.it.store.pool()).await.map_err(|error| vec![error.to_string()])?;
    let count = format!("{} parked orders, {} worked off meanwhile", of.done.unbookable.len(), of.mended);
    finding(count, [of.before_repair.overtaken.clone(), overtaken].concat())
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
            "sale.sale.draft" | "sale.sale.confirm" | "sale.sale.quote" | "sale.sale.create" if ended.contains(id) => {
                wrong.push(format!("{} of {id} after it was cancelled", entry.operation));
            }
            _ => {}
        }
    }
    finding(format!("{} cancelled in the ERP", ended.len()), wrong)
}

pub(super) fn commits_follow(of: &Evidence<'_>) -> Finding {
    let unseen = (of.seen.looks == 0).then(|| "the account was never drawn up while it ran".to_owned());
    finding(format!("{} looks while it ran", of.seen.looks), of.seen.unbalanced.iter().cloned().chain(unseen).collect())
}

pub(super) async fn commits_only_grow(of: &Evidence<'_>) -> Finding {
    let commits = commits::all(&of.it.bus.brokers).await.map_err(|it| vec![format!("{it:#}")])?;
    finding(format!("{} commits", commits.len()), commits::backward(&commits))
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
            let wrong = [of.restless.clone(), of.seen.stuck.clone(), behind].concat();
            return finding(format!("{} partitions", scope.progress.len()), wrong);
        }
        sleep(Duration::from_millis(200)).await;
    }
}

const LAG_MAX: Duration = Duration::from_secs(60);
