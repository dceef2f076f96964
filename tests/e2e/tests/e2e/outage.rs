//! An ERP that is away: few calls, no letters, and everything in order once it is back.

use std::time::Duration;

use chrono::TimeDelta;
use domain::OperationFamily;
use sandbox::effects::{Entry, Kind};
use sandbox::erp::ErpSettings;
use sandbox::faults::{Fault, Rule};
use sandbox::payloads::PaymentWish;
use testkit::{eventually, eventually_eq};

use e2e::{Installation, Program, SOON, Setup, assert_in_order, assert_once, mugs, stock_agrees};

const AWAY: Duration = Duration::from_secs(8);
/// It is looked for every 100 ms; a machine that is busy takes its time.
const SOON_BACK: TimeDelta = TimeDelta::seconds(4);

/// Orders that come in meanwhile, some of them paid a moment later.
fn happen(it: &Installation, orders: usize) {
    for number in 0..orders {
        let placed = it.shop.place_order(&mugs(PaymentWish::Pending)).unwrap();
        if number % 2 == 0 {
            it.shop.pay(placed.id).unwrap();
        }
    }
}

async fn open_circuits(it: &mut Installation) -> usize {
    it.process(Program::Adapter).metric("tradewind_circuit_open").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erp_that_is_away_costs_few_calls_and_no_letter() {
    let mut setup = Setup::default();
    setup.erp = ErpSettings { log_reads: true, ..setup.erp };
    let Some(mut it) = Installation::start(setup).await else { return };
    happen(&it, 4);
    it.settled().await;

    // It answers that it is away, so that it can count who asks.
    let before = it.erp.log().last();
    it.erp.fault(Rule::new(Fault::status(503)).always().lasting(AWAY)).unwrap();
    happen(&it, 40);
    let first = async || it.erp.log().since(before).into_iter().find(|it| it.kind == Kind::Applied && it.operation == "sale.sale.create");
    eventually(SOON, async || first().await.ok_or("nothing was booked")).await;
    it.settled().await;
    let log = it.erp.log().since(before);
    let refused: Vec<&Entry> = log.iter().filter(|it| it.kind == Kind::Answered && it.detail.as_deref() == Some("status 503")).collect();
    assert!((1..=150).contains(&refused.len()), "{} calls of an ERP that is away", refused.len());
    let back = refused.last().unwrap().at;
    let first = first().await.unwrap().at;
    assert!(first > back && first - back < SOON_BACK, "the first sale came {} after the last refusal", first - back);

    // And with its port closed.
    it.erp.refuse(None).await;
    happen(&it, 20);
    eventually_eq(SOON, OperationFamily::NAMES.len(), async || open_circuits(&mut it).await).await;
    it.erp.restore().await;
    let account = it.settled().await;
    eventually_eq(SOON, 0, async || open_circuits(&mut it).await).await;
    assert!(account.balances(), "{account:?}");
    assert!(it.letters().await.is_empty());
    assert_once(&it);
    stock_agrees(&it).await;
    assert_in_order(&it);
}
