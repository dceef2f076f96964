//! What must hold whatever was broken: one checker each, asked of oracles outside of the product.

mod health;
mod ledger;
mod letters;
mod order;

use std::collections::BTreeMap;

use e2e::Installation;
use sandbox::effects::Effects;
use sandbox::shopify::Trace;
use store::account::Account;

use crate::load::Done;
use crate::resources::Resources;
use crate::watch::Seen;

/// All that the checkers are told.
pub(crate) struct Evidence<'a> {
    pub(crate) it: &'a Installation,
    pub(crate) done: &'a Done,
    /// Orders that were worked off while the load went on.
    pub(crate) mended: u64,
    pub(crate) seen: &'a Seen,
    /// Before anything was repaired, with everything at rest.
    pub(crate) before_repair: Snapshot,
    /// After the repair and the replay of every letter, with everything at rest.
    pub(crate) account: Account,
    /// By the webhook's id.
    pub(crate) deliveries: BTreeMap<String, Trace>,
    pub(crate) erp: Effects,
    /// Of every process of ours, over all of its lives.
    pub(crate) logs: &'a [(String, String)],
    pub(crate) resources: Vec<(String, Resources, Resources)>,
    /// What was wrong with what services said of their own health, and which of them fell.
    pub(crate) health: Vec<String>,
    /// What was waited for in vain after the last fault.
    pub(crate) restless: Vec<String>,
    /// Wrong levels while the ERP's word on its last sales was missing.
    pub(crate) unseen: Vec<String>,
}

/// The account, and what stood in the ERP by then.
pub(crate) struct Snapshot {
    pub(crate) account: Account,
    /// What had not waited behind its letter.
    pub(crate) overtaken: Vec<String>,
}

/// What a checker found: a number to show, or what is wrong.
pub(crate) type Finding = Result<String, Vec<String>>;

pub(crate) struct Invariant {
    pub(crate) id: &'static str,
    pub(crate) says: &'static str,
    pub(crate) finding: Finding,
}

/// Every checker, in order.
pub(crate) async fn check(of: &Evidence<'_>) -> Vec<Invariant> {
    let found = [
        ("I1", "every acked delivery is in the ledger", ledger::acked_is_recorded(of).await),
        ("I2", "every obligation is in exactly one state", ledger::states_are_disjoint(of).await),
        ("I3", "every effect was applied once", ledger::applied_once(of)),
        ("I4", "nothing is in the ERP that nobody ordered", ledger::no_phantoms(of)),
        ("I5", "amounts and states are those of the shop", ledger::contents_agree(of)),
        ("I6", "after repair and replay nothing is left over", ledger::nothing_is_left(of)),
        ("I7", "what was done to an order, and told of it, was in order", order::in_order(of).await),
        ("I8", "nothing overtook what was parked", order::parked_waited(of).await),
        ("I9", "the shop shows the last level", order::stock_agrees(of)),
        ("I10", "nothing was done to an order after its end", order::nothing_after_the_end(of)),
        ("I11", "no offset was committed past what was not settled", order::commits_follow(of)),
        ("I12", "no committed offset went back", order::commits_only_grow(of).await),
        ("I13", "all lag was worked off, and no partition stood still", order::no_lag(of).await),
        ("I14", "letters are what was read, byte for byte", letters::are_verbatim(of).await),
        ("I15", "letters' history is whole", letters::history_holds(of).await),
        ("I16", "no letter was replayed after its end", letters::ended_letters_rest(of).await),
        ("I21", "processes are as small as before, no transaction is left open", health::resources_return(of).await),
        ("I22", "no panic, no secret and no personal data in a log, a letter's cause or the audit", health::words_are_clean(of).await),
        ("I23", "services say when they cannot do their work, and end only when asked", health::health_is_told(of)),
    ];
    found.into_iter().map(|(id, says, finding)| Invariant { id, says, finding }).collect()
}

/// Wrong where there is anything wrong.
fn finding(shown: impl Into<String>, wrong: Vec<String>) -> Finding {
    if wrong.is_empty() { Ok(shown.into()) } else { Err(wrong) }
}
