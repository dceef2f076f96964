//! An ERP in memory: three kinds of steps, every effect on record, and a script of what goes wrong.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use connector::erp::{Erp, Findings, Guarantee, Identity, Probe, Step, StepCall, StepError};
use domain::{ErpCommand, Operation};
use fault::{Class, Fault};

/// What befalls one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Done, and nobody hears of it.
    AnswerLost,
    /// It never arrives, and nobody can know.
    RequestLost,
    /// Understood and refused.
    Rejected,
    /// An item of it is unknown.
    Missing,
    /// A clear error, nothing done.
    Refused,
    Panic,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) op_key: String,
    pub(crate) step: String,
    /// The order.
    pub(crate) order: String,
}

#[derive(Default)]
struct State {
    done: Vec<Done>,
    /// By the customer's id, which may be empty, and e-mail address.
    parties: Vec<(String, String)>,
    /// E-mail addresses whose party was merged into another.
    merged: HashMap<String, String>,
    keys: HashSet<String>,
    script: HashMap<(String, String), VecDeque<Fate>>,
    away: bool,
    /// It does not show its parties yet.
    late: bool,
    on_the_wire: usize,
    on_the_wire_max: usize,
    requests: usize,
}

pub(crate) struct FakeErp {
    state: Mutex<State>,
    /// Of the step `create`.
    create: Guarantee,
    latency: Duration,
    with_customers: bool,
}

impl FakeErp {
    pub(crate) fn new(create: Guarantee) -> Self {
        Self { state: Mutex::default(), create, latency: Duration::from_millis(2), with_customers: false }
    }

    pub(crate) fn with_latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    pub(crate) fn with_customers(mut self) -> Self {
        self.with_customers = true;
        self
    }

    /// The next requests of an order's step meet these fates, in order.
    pub(crate) fn script(&self, order: &str, step: &str, fates: &[Fate]) {
        self.state.lock().unwrap().script.entry((order.to_owned(), step.to_owned())).or_default().extend(fates);
    }

    pub(crate) fn set_away(&self, away: bool) {
        self.state.lock().unwrap().away = away;
    }

    /// Effects so far, in order.
    pub(crate) fn done(&self) -> Vec<Done> {
        self.state.lock().unwrap().done.clone()
    }

    /// As `order step`.
    pub(crate) fn booked(&self) -> Vec<String> {
        self.done().into_iter().map(|it| format!("{} {}", it.order, it.step)).collect()
    }

    /// Their e-mail addresses.
    pub(crate) fn parties(&self) -> Vec<String> {
        self.state.lock().unwrap().parties.iter().map(|it| it.1.clone()).collect()
    }

    /// Parties that are there can't be found yet.
    pub(crate) fn shows_late(&self) {
        self.state.lock().unwrap().late = true;
    }

    /// A person replaces the party of `email` by another one.
    pub(crate) fn merge(&self, email: &str, into: &str) {
        self.state.lock().unwrap().merged.insert(email.to_owned(), into.to_owned());
    }

    /// Who the buyer is, if they are there.
    fn party(&self, command: &ErpCommand) -> Option<String> {
        let (me, email) = (customer_id(command), email(command));
        let state = self.state.lock().unwrap();
        let (_, party) = state.parties.iter().find(|it| it.1 == email || (!me.is_empty() && it.0 == me))?;
        Some(state.merged.get(party).unwrap_or(party).clone())
    }

    fn findings(&self, call: &StepCall<'_>) -> Findings {
        let pairs = match call.step {
            "customer" => vec![("party", self.party(call.command).unwrap_or_default())],
            _ => vec![("sale", format!("id-{}", order(call.command))), ("number", format!("S{}", order(call.command)))],
        };
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    pub(crate) fn requests(&self) -> usize {
        self.state.lock().unwrap().requests
    }

    pub(crate) fn most_on_the_wire(&self) -> usize {
        self.state.lock().unwrap().on_the_wire_max
    }

    async fn wire(&self) -> Result<(), Fault> {
        {
            let mut state = self.state.lock().unwrap();
            state.requests += 1;
            state.on_the_wire += 1;
            state.on_the_wire_max = state.on_the_wire_max.max(state.on_the_wire);
        }
        tokio::time::sleep(self.latency).await;
        let mut state = self.state.lock().unwrap();
        state.on_the_wire -= 1;
        if state.away { Err(Fault::new(Class::Outage, "erp_away", "connection refused")) } else { Ok(()) }
    }

    fn receive(&self, call: &StepCall<'_>, guarantee: Guarantee) {
        let mut state = self.state.lock().unwrap();
        if call.step == "customer" {
            state.parties.push((customer_id(call.command), email(call.command)));
            return;
        }
        let done = Done { op_key: call.command.operation_key.to_string(), step: call.step.to_owned(), order: order(call.command) };
        let is_new = match guarantee {
            Guarantee::IdempotencyKey => state.keys.insert(call.idempotency_key.to_owned()),
            Guarantee::Upsert | Guarantee::Unique => !state.done.contains(&done),
            Guarantee::Lookup | Guarantee::None => true,
        };
        if is_new {
            state.done.push(done);
        }
    }

    fn look(&self, call: &StepCall<'_>) -> Option<Findings> {
        let is_done = |it: &Done| it.op_key == call.command.operation_key.as_str() && it.step == call.step;
        let is_there = match call.step {
            "customer" => self.party(call.command).is_some() && !self.state.lock().unwrap().late,
            _ => self.done().iter().any(is_done),
        };
        is_there.then(|| self.findings(call))
    }
}

fn order(command: &ErpCommand) -> String {
    command.operation.order().map(|it| it.id.clone()).unwrap_or_default()
}

fn customer_id(command: &ErpCommand) -> String {
    command.operation.order().and_then(|it| it.buyer.as_ref()).map(|it| it.customer_id.clone()).unwrap_or_default()
}

fn email(command: &ErpCommand) -> String {
    command.operation.order().and_then(|it| it.buyer.as_ref()).map(|it| it.email.clone()).unwrap_or_default()
}

#[async_trait]
impl Erp for FakeErp {
    fn platform(&self) -> &'static str {
        "fake"
    }

    fn steps(&self, command: &ErpCommand) -> Result<Vec<Step>, Fault> {
        let step = |name, guarantee| Step { name, guarantee, look_first: false, identities: Vec::new() };
        let customer = self.with_customers.then(|| Step {
            look_first: true,
            identities: [customer_id(command), email(command)]
                .into_iter()
                .filter(|it| !it.is_empty())
                .map(|match_key| Identity { kind: "customer".to_owned(), match_key })
                .collect(),
            ..step("customer", Guarantee::Lookup)
        });
        match &command.operation {
            Operation::PlaceOrder { .. } => {
                let rest = [step("create", self.create), step("confirm", Guarantee::Upsert)];
                Ok(customer.into_iter().chain(rest).collect())
            }
            Operation::ReviseOrder { .. } => Ok(vec![step("rewrite", Guarantee::Upsert)]),
            other => Err(Fault::new(Class::Validation, "erp_unknown_operation", format!("{} is not offered", other.name()))),
        }
    }

    async fn probe(&self, call: &StepCall<'_>) -> Result<Probe, Fault> {
        self.wire().await?;
        Ok(self.look(call).map_or(Probe::Missing, Probe::Done))
    }

    async fn perform(&self, call: &StepCall<'_>) -> Result<Findings, StepError> {
        self.wire().await?;
        let fate = self.state.lock().unwrap().script.get_mut(&(order(call.command), call.step.to_owned())).and_then(VecDeque::pop_front);
        if call.findings.get("party").is_some_and(|it| self.state.lock().unwrap().merged.contains_key(it)) {
            return Err(Fault::new(Class::BusinessRejected, "erp_unknown_party", "this party is not there any more").into());
        }
        let lost = || StepError { fault: Fault::new(Class::Transient, "erp_no_answer", "the answer was cut off"), maybe_applied: true };
        let guarantee = self.steps(call.command)?.into_iter().find(|it| it.name == call.step).unwrap().guarantee;
        match fate {
            None => self.receive(call, guarantee),
            Some(Fate::AnswerLost) => {
                self.receive(call, guarantee);
                return Err(lost());
            }
            Some(Fate::RequestLost) => return Err(lost()),
            Some(Fate::Rejected) => return Err(Fault::new(Class::BusinessRejected, "erp_unknown_item", "item A-1 is unknown").into()),
            Some(Fate::Missing) => {
                let mut fault = Fault::new(Class::DependencyMissing, "erp_unknown_item", "item A-1 is unknown");
                fault.missing = Some("item:A-1".to_owned());
                return Err(fault.into());
            }
            Some(Fate::Refused) => return Err(Fault::new(Class::Transient, "erp_500", "internal error").into()),
            Some(Fate::Panic) => panic!("connector bug"),
        }
        Ok(self.findings(call))
    }

    async fn ping(&self) -> Result<(), Fault> {
        if self.state.lock().unwrap().away { Err(Fault::new(Class::Outage, "erp_away", "still away")) } else { Ok(()) }
    }
}
