//! The same with a real ERP: what its double promises must hold there, too.

use std::time::Duration;

use sandbox::payloads::PaymentWish;
use testkit::eventually;

use e2e::{Installation, Setup, mugs};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paid_order_gets_its_number_from_a_real_tryton() {
    let Some(tryton) = testkit::tryton().await else { return };
    let setup = Setup { tryton: Some(tryton), ..Setup::default() };
    let Some(it) = Installation::start(setup).await else { return };
    let order = it.shop.place_order(&mugs(PaymentWish::Paid)).unwrap().id;
    eventually(PATIENCE, async || {
        let life = it.life(order).await;
        let is_done = life.as_ref().is_some_and(|it| it.erp_number.as_ref().is_some_and(|it| !it.is_empty()) && it.erp_confirmed);
        if is_done { Ok(()) } else { Err((life, it.letters().await)) }
    })
    .await;
    let account = it.settled().await;
    assert!(account.balances(), "{account:?}");
    assert!(it.letters().await.is_empty());
    assert!(it.erp.sales().is_empty(), "the double was not asked");
}

/// Its first requests take a while.
const PATIENCE: Duration = Duration::from_secs(90);
