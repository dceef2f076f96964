//! The rules of the router's group, as the ledger asks for them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use async_trait::async_trait;
use bus::BusSettings;
use contracts::topics::groups;
use domain::{AggregateKey, TargetId};
use fault::Fault;
use mapping::Rules;
use store::decisions::{self, Decide, Decided, Input, State};
use store::{Error, Owner, Tx};
use uuid::Uuid;

use crate::core::customer::CustomerDecision;
use crate::core::{self, Command, Decision, Life, Settled, Verdict, Wait};
use crate::metrics::Metrics;
use crate::shell::inbound::{self, Event, What};
use crate::shell::{outbound, rows};

/// Decides what the group's records lead to.
pub struct Router {
    rules: Rules,
    /// Reasons of the rules file, made to last as long as the process: there are few, and they are read once.
    reasons: BTreeMap<String, &'static str>,
    customer_targets: Vec<TargetId>,
    bus: BusSettings,
    metrics: Metrics,
}

/// What a batch leads to, before any of it is stored.
#[derive(Default)]
struct Results {
    lives: Vec<Life>,
    customers: Vec<(AggregateKey, u64)>,
    released: Vec<(Uuid, State, Option<&'static str>)>,
}

impl Router {
    pub fn new(rules: Rules, customer_targets: Vec<TargetId>, bus: BusSettings) -> Self {
        let reasons = rules.hold_reasons().into_iter().map(|it| (it.to_owned(), &*String::from(it).leak())).collect();
        Self { rules, reasons, customer_targets, bus, metrics: Metrics::new() }
    }

    fn decide_one(&self, event: Event, known: &mut Known, results: &mut Results) -> Result<Decided, Fault> {
        let Event { key, connection, what } = event;
        let mut life = || known.lives.remove(&key).unwrap_or_else(|| Life::new(connection.clone(), key.id()));
        let decision = match what {
            What::Order(version, order, message) => core::order::changed(life(), version, *order, message, &self.rules)?,
            What::Refund(version, refund, message) => core::refund::changed(life(), version, &refund, message)?,
            What::Outcome(outcome) => core::outcome::reported(life(), &outcome),
            What::Customer(version, customer, message) => {
                let known = known.customers.get(&key).copied();
                let decision = core::customer::changed(known, version, &connection, &customer, &message, &self.customer_targets);
                return Ok(self.customer_decided(key, version.sequence, decision, results));
            }
        };
        Ok(self.decided(decision, results))
    }

    fn decided(&self, decision: Decision, results: &mut Results) -> Decided {
        let Decision { life, verdict, commands, released } = decision;
        results.lives.push(life);
        results.released.extend(released.into_iter().map(|it| {
            let (state, reason) = settled(it.settled);
            (it.event, state, reason)
        }));
        match verdict {
            Verdict::Settled(how) => self.settle(how, &commands),
            Verdict::Waiting(Wait::Order) => Decided::Waiting { reason: "dependency_missing" },
            Verdict::Waiting(Wait::Hold(reason)) => {
                Decided::Waiting { reason: self.reasons.get(&*reason).copied().unwrap_or("held_by_rule") }
            }
        }
    }

    fn customer_decided(&self, key: AggregateKey, sequence: u64, decision: CustomerDecision, results: &mut Results) -> Decided {
        if decision.settled != Settled::Superseded {
            results.customers.push((key, sequence));
        }
        self.settle(decision.settled, &decision.commands)
    }

    fn settle(&self, how: Settled, commands: &[Command]) -> Decided {
        for it in commands {
            self.metrics.command(it.command.target.as_str(), it.command.operation.name());
        }
        let (state, reason) = settled(how);
        Decided::Settled { state, reason, outputs: outbound::records(commands, &self.bus) }
    }

    fn count(&self, kind: &'static str, decided: &Decided) {
        match decided {
            Decided::Settled { state, reason, .. } => self.metrics.decided(kind, state.as_str(), reason.unwrap_or_default()),
            Decided::Waiting { reason } => self.metrics.decided(kind, "waiting", reason),
            Decided::Fail(fault) => self.metrics.decided(kind, "failed", fault.code),
        }
    }
}

/// What is known of the keys of a batch.
struct Known {
    lives: HashMap<AggregateKey, Life>,
    customers: HashMap<AggregateKey, u64>,
}

#[async_trait]
impl Decide for Router {
    async fn decide(&self, tx: &mut Tx, batch: &[Input<'_>]) -> Result<Vec<Decided>, Error> {
        let events: Vec<Result<Event, Fault>> = batch.iter().map(inbound::read).collect();
        let mut known = load(tx, &events).await?;
        let mut results = Results::default();
        let mut decided = Vec::with_capacity(batch.len());
        for (input, event) in batch.iter().zip(events) {
            let kind = event.as_ref().map_or("unreadable", |it| it.what.kind());
            // Commands carry the trace of the record that they follow from.
            let one = input.span.in_scope(|| event.and_then(|event| self.decide_one(event, &mut known, &mut results)));
            let one = one.unwrap_or_else(Decided::Fail);
            self.count(kind, &one);
            decided.push(one);
        }
        rows::save_lives(tx, &results.lives).await?;
        rows::save_customers(tx, &results.customers).await?;
        decisions::release(tx, Owner::Router, groups::ROUTER, &results.released).await?;
        Ok(decided)
    }
}

async fn load(tx: &mut Tx, events: &[Result<Event, Fault>]) -> Result<Known, Error> {
    let (mut wanted, mut customers) = (BTreeMap::new(), BTreeSet::new());
    for event in events.iter().flatten() {
        match &event.what {
            What::Customer(..) => drop(customers.insert(event.key.as_str())),
            What::Order(..) | What::Refund(..) => drop(wanted.insert(&event.key, rows::Want::Whole)),
            What::Outcome(_) => drop(wanted.insert(&event.key, rows::Want::Progress)),
        }
    }
    let customers: Vec<&str> = customers.into_iter().collect();
    Ok(Known { lives: rows::load_lives(tx, &wanted).await?, customers: rows::load_customers(tx, &customers).await? })
}

fn settled(how: Settled) -> (State, Option<&'static str>) {
    match how {
        Settled::Applied(reason) => (State::Applied, reason),
        Settled::Superseded => (State::Superseded, None),
        Settled::Discarded(reason) => (State::Discarded, Some(reason)),
    }
}
