//! Sent, acked, applied: nothing is lost and nothing is done twice.

use std::collections::{BTreeMap, BTreeSet};

use contracts::ids;
use e2e::SHOP;
use sandbox::effects::Kind;
use sandbox::shopify::Trace;
use uuid::Uuid;

use super::{Evidence, Finding, finding};

pub(super) async fn acked_is_recorded(of: &Evidence<'_>) -> Finding {
    let acked = of.deliveries.iter().filter(|(_, it)| it.is_acked());
    let expected: BTreeMap<Uuid, &String> = acked.map(|(id, it)| (ids::raw(SHOP, &it.topic, &format!("{}/{id}", it.topic)), id)).collect();
    let asked: Vec<Uuid> = expected.keys().copied().collect();
    let recorded: Vec<Uuid> = sqlx::query_scalar("select ce_id from ingest.raw_record where ce_id = any($1)")
        .bind(&asked)
        .fetch_all(of.it.store.pool())
        .await
        .map_err(|error| vec![error.to_string()])?;
    let recorded: BTreeSet<Uuid> = recorded.into_iter().collect();
    let lost = expected.iter().filter(|(id, _)| !recorded.contains(id)).map(|(_, webhook)| format!("{webhook} was acked and is nowhere"));
    finding(format!("{} acked", expected.len()), lost.collect())
}

/// A record may have a decision and a letter; what the two say together must be one state. And an obligation of which nobody
/// knows is an alarm of its own.
pub(super) async fn states_are_disjoint(of: &Evidence<'_>) -> Finding {
    let sql = "select l.grp || ' ' || l.ce_id || ': a letter that is ' || l.state || ' and a decision that is ' || d.state
               from letters.letter l join account.decision d using (grp, ce_id)
               where (l.state = 'applied' and d.state not in ('applied', 'superseded', 'discarded'))
                  or (l.state in ('dead', 'held') and d.state = 'applied')";
    let mut wrong: Vec<String> = sqlx::query_scalar(sql).fetch_all(of.it.store.pool()).await.map_err(|error| vec![error.to_string()])?;
    for account in [&of.before_repair.account, &of.account] {
        let missing = account.count("missing");
        if missing > 0 {
            wrong.push(format!("{missing} obligations are missing"));
        }
        wrong.extend(account.checks.iter().filter(|it| !it.holds).map(|it| format!("{}: {}", it.name, it.detail)));
    }
    let sum: i64 = of.account.lines.iter().map(|it| it.count).sum();
    finding(format!("{sum} obligations"), wrong)
}

/// Each of these may be done once to one thing for ever.
const ONCE: [&str; 3] = ["sale.sale.create", "sale.sale.confirm", "party.party.create"];

pub(super) fn applied_once(of: &Evidence<'_>) -> Finding {
    let mut wrong = Vec::new();
    for operation in ONCE {
        let repeated = of.erp.repeated(operation).into_iter().filter(|(of, _)| !of.is_empty());
        wrong.extend(repeated.map(|(what, times)| format!("{operation} of {what}: {times} times")));
    }
    // Whoever has no account in the shop is told by the address alone, which the log of what was done does not have.
    let twins = of.it.erp.twins();
    wrong.extend(twins.values().map(|parties| format!("the parties {parties:?} are one person")));
    let created = of.erp.applied("sale.sale.create").count();
    finding(format!("{created} sales"), wrong)
}

pub(super) fn no_phantoms(of: &Evidence<'_>) -> Finding {
    let orders: BTreeSet<String> = of.it.shop.orders().iter().map(|it| it.id.to_string()).collect();
    let ours = of.erp.entries().iter().filter(|it| it.kind == Kind::Applied && it.operation == "sale.sale.create");
    let ids: Vec<&str> = ours.filter_map(|it| it.external_id.as_deref()).collect();
    let phantoms = ids.iter().filter(|it| !it.starts_with("refund:") && !orders.contains(**it));
    let mut wrong: Vec<String> = phantoms.map(|it| format!("a sale of {it}, which is no order")).collect();
    let taken = of.done.forgeries.iter().filter(|it| of.deliveries.get(*it).is_some_and(Trace::is_acked));
    wrong.extend(taken.map(|it| format!("{it} was forged, and acked")));
    finding(format!("{} orders in the shop, {} forgeries", orders.len(), of.done.forgeries.len()), wrong)
}

pub(super) fn contents_agree(of: &Evidence<'_>) -> Finding {
    finding(format!("{} orders, {} refunds", of.it.shop.orders().len(), of.done.refunds), e2e::not_once(of.it))
}

pub(super) fn nothing_is_left(of: &Evidence<'_>) -> Finding {
    let states = ["dead", "held", "in_flight", "missing"].map(|state| (state, of.account.count(state)));
    let left: Vec<String> = states.into_iter().filter(|(_, count)| *count > 0).map(|(state, count)| format!("{count} {state}")).collect();
    let before = ["dead", "held"].map(|it| format!("{} {it}", of.before_repair.account.count(it))).join(" and ");
    finding(format!("{before} before"), left)
}
