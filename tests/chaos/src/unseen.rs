//! Between its confirm and the ERP's next word on stock, an order counts as sold: looked at while nobody can read the ERP's stock.

use e2e::{Installation, order};
use sandbox::faults::{Fault, Rule};
use sandbox::payloads::PaymentWish;

use crate::rest::Rest;

/// With everything at rest. Returns the items of which the shop shows something else than the logs give.
pub(crate) async fn unseen_sales_count(it: &Installation, rest: &mut Rest) -> anyhow::Result<Vec<String>> {
    let blocked = it.erp.fault(Rule::new(Fault::status(500)).on("model.stock.move.search_read").always())?;
    let sku = &it.erp.settings().items[0].sku;
    it.shop.place_order(&order().with(sku, 2).discounted_by([]).paid_by(PaymentWish::Paid))?;
    rest.comes(it).await?;
    rest.comes_when("what the confirm led to was not read", async || behind(it).await > 0).await;
    let unpushed = "select count(*) from stock.desired where pushed_generation < generation";
    rest.comes_when("the level was not pushed", async || it.count(unpushed).await > 0).await;
    let mut wrong: Vec<String> = e2e::stock_differs(it).into_iter().map(|it| format!("confirmed, and not seen yet: {it}")).collect();
    if !it.erp.plan().rules().iter().any(|it| it.id == blocked && it.hit > 0) {
        wrong.push("nobody asked for the ERP's stock while it could not be read".to_owned());
    }
    it.erp.plan().remove(blocked);
    Ok(wrong)
}

/// Partitions that are not read to their ends.
async fn behind(it: &Installation) -> usize {
    let scope = it.scope().await;
    scope.map_or(usize::MAX, |it| it.progress.iter().filter(|it| it.is_behind()).count())
}
