//! Every fault at every writing call of every operation: afterwards all is as if nothing had gone wrong.

use std::time::Instant;

use connector::erp::{Erp, Findings, LEASE_EXPIRED, Probe, Step, StepCall};
use domain::ErpCommand;
use domain::refund::Restock;
use fault::{Class, Fault};
use sandbox::faults::{self, Rule};

use crate::double::{self, Double};
use crate::orders::{self, Cart};
use crate::run::{run, settle, soon};

/// What can become of a request, and whether it was carried out.
fn rules() -> Vec<Rule> {
    let kinds = [
        faults::Fault::Reset,
        faults::Fault::HangUp,
        faults::Fault::status(500),
        faults::Fault::status(502),
        faults::Fault::status(503),
        faults::Fault::LoginPage,
    ];
    let both = kinds.into_iter().flat_map(|it| [Rule::new(it.clone()), Rule::new(it).applied()]);
    let of_an_answer = [
        faults::Fault::HalfBody,
        faults::Fault::CutOff,
        faults::Fault::InvalidUtf8,
        faults::Fault::ContentType { value: "text/plain".to_owned() },
        faults::Fault::Redirect { status: 302, location: "https://example.com/".to_owned() },
    ];
    let refusals = [faults::Fault::status(401), faults::Fault::status(429)];
    both.chain(of_an_answer.into_iter().map(|it| Rule::new(it).applied())).chain(refusals.into_iter().map(Rule::new)).collect()
}

/// One of each kind: lost before, lost after, said to have failed, answered by somebody else.
fn few_rules() -> Vec<Rule> {
    vec![
        Rule::new(faults::Fault::Reset),
        Rule::new(faults::Fault::HangUp).applied(),
        Rule::new(faults::Fault::status(502)).applied(),
        Rule::new(faults::Fault::LoginPage).applied(),
    ]
}

/// Runs a command as the ERP adapter does: what may have been done is looked for before it is sent again.
async fn recover(erp: &dyn Erp, command: &ErpCommand) -> Result<Findings, Fault> {
    let mut findings = Findings::new();
    for step in erp.steps(command)? {
        let found = persist(erp, command, &step, &findings).await?;
        findings.extend(found);
    }
    Ok(findings)
}

async fn persist(erp: &dyn Erp, command: &ErpCommand, step: &Step, findings: &Findings) -> Result<Findings, Fault> {
    let call = StepCall { command, step: step.name, idempotency_key: "k", findings, not_after: soon() };
    let mut look = step.look_first;
    for _ in 0..4 {
        if look && let Probe::Done(found) = erp.probe(&call).await? {
            return Ok(found);
        }
        match erp.perform(&call).await {
            Ok(found) => return Ok(found),
            Err(error) if error.maybe_applied => look = true,
            Err(error) if matches!(error.fault.class, Class::Transient | Class::Outage | Class::RateLimited | Class::Auth) => {}
            Err(error) => return Err(error.fault),
        }
    }
    panic!("{} does not come to an end", step.name)
}

/// `before` is done without faults; then each write of `command` fails in each way, each time on a new server.
async fn check(rules: &[Rule], before: &[ErpCommand], ship: Option<&str>, command: &ErpCommand) {
    let prepared = async || {
        let double = double::start();
        let erp = double.environment().erp();
        for it in before {
            run(&*erp, it).await.unwrap();
        }
        if let Some(web_id) = ship {
            double.erp.ship(web_id).unwrap();
        }
        (double, erp)
    };
    let (clean, erp) = prepared().await;
    let start = clean.erp.log().last();
    run(&*erp, command).await.unwrap();
    let writes = clean.writes_since(start);
    assert!(!writes.is_empty());
    for (operation, nth) in writes {
        for rule in rules.iter().cloned() {
            let (double, erp) = prepared().await;
            let what = format!("{operation} {nth}: {:?} applied {}", rule.fault, rule.apply);
            // The counting of matches begins with the rule.
            double.erp.fault(rule.on(format!("model.{operation}")).nth(nth)).unwrap();
            recover(&*erp, command).await.unwrap_or_else(|fault| panic!("{what}: {fault}"));
            assert_eq!(double.outcome(), clean.outcome(), "{what}");
            assert_eq!(parties(&double), parties(&clean), "{what}");
        }
    }
}

fn parties(double: &Double) -> usize {
    double.erp.effects().applied("party.party.create").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn placing_survives_every_fault() {
    let order = Cart { goods: &[("MUG-BLUE", "0.03", 1), ("TS-S", "10.00", 2)], included: true, ..Cart::default() }.order();
    check(&rules(), &[], None, &orders::place(&order)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn confirming_survives_every_fault() {
    let order = Cart::default().order();
    check(&rules(), &[orders::place_unpaid(&order)], None, &orders::confirm(&order)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn revising_survives_every_fault() {
    let order = Cart { goods: &[("MUG-RED", "9.50", 3)], ..Cart::default() }.order();
    check(&few_rules(), &[orders::place_unpaid(&order)], None, &orders::revise(&orders::edited(&order, 2))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_survives_every_fault() {
    let order = Cart { goods: &[("MUG-RED", "9.50", 3), ("TS-M", "10.00", 1)], ..Cart::default() }.order();
    check(&few_rules(), &[orders::place(&order)], None, &orders::cancel(&order)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refunding_survives_every_fault() {
    let order = Cart { goods: &[("POSTER", "14.00", 3)], ..Cart::default() }.order();
    let mut refund = orders::refund(&order, 1, Restock::Return);
    refund.lines.extend(orders::refund(&order, 1, Restock::NoRestock).lines);
    check(&few_rules(), &[orders::place(&order)], Some(&order.id), &orders::book(&refund, &order)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn holding_back_survives_every_fault() {
    let order = Cart { goods: &[("MUG-RED", "9.50", 3), ("TS-M", "10.00", 1)], ..Cart::default() }.order();
    let refund = orders::refund(&order, 1, Restock::Cancel);
    check(&few_rules(), &[orders::place(&order)], None, &orders::book(&refund, &order)).await;
}

/// Its process stood still after it had read what stands there, and before it wrote.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_whose_time_is_over_writes_nothing() {
    let order = Cart::default().order();
    for (before, command) in [
        (None, orders::place(&order)),
        (Some(orders::place_unpaid(&order)), orders::confirm(&order)),
        (Some(orders::place_unpaid(&order)), orders::revise(&orders::edited(&order, 2))),
        (Some(orders::place(&order)), orders::cancel(&order)),
        (Some(orders::place(&order)), orders::book(&orders::refund(&order, 1, Restock::Cancel), &order)),
    ] {
        let double = double::start();
        let erp = double.environment().erp();
        if let Some(before) = &before {
            run(&*erp, before).await.unwrap();
        }
        let (mut findings, mut refused) = (Findings::new(), 0);
        for step in erp.steps(&command).unwrap() {
            let (start, not_after) = (double.erp.log().last(), Instant::now());
            let late = StepCall { command: &command, step: step.name, idempotency_key: "k", findings: &findings, not_after };
            if let Err(error) = erp.perform(&late).await {
                assert_eq!((error.fault.code, error.maybe_applied), (LEASE_EXPIRED, false), "{}", step.name);
                refused += 1;
            }
            assert_eq!(double.writes_since(start), [], "{}", step.name);
            findings.extend(settle(&*erp, &command, &step, &findings).await.unwrap());
        }
        assert!(refused > 0, "{}", command.operation.name());
    }
}
