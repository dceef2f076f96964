//! Stock levels: what lies in the warehouse, what of it is promised to open sales, and which web orders those are.
//!
//! Reserved is the sum of open moves (`draft`, `assigned`) from the warehouse to customers; on hand minus that is right in
//! every state of a shipment. Moves, their sales and the products' quantities come from ONE call, which Tryton answers from
//! one transaction; products without open moves are read afterwards, so that a sale that ships in between makes the level
//! too low for a moment, never too high.
//!
//! A product does not change when its stock does, so changes are looked for in the moves. Their stamp is the start of their
//! transaction: a row can appear that is older than what was read before. So each look goes back by an overlap, and the
//! cursor remembers which moves of that time it has seen.
//!
//! Times are those of the HTTP `Date` header (whole seconds, rounded down) of an answer that came before the levels were
//! read: an observation never claims to be newer than it is.

mod cursor;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use chrono::{DateTime, Days, Utc};
use connector::erp::{Cursor, StockPage, StockSource};
use domain::stock::OpenSale;
use domain::{AggregateKey, ConnectionId, Sku, StockLevel};
use fault::Fault;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::json;

use crate::Target;
use crate::rpc::Search;
use crate::stock::cursor::Position;
use crate::wire::{self, Coded};

/// Moves per look.
const PAGE: usize = 1000;

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Moved {
    id: i64,
    #[serde(rename = "product.")]
    product: Coded,
    #[serde(deserialize_with = "wire::stamp_from")]
    last_modified_at: DateTime<Utc>,
}

#[derive(Debug, Deserialize)]
struct OpenMove {
    id: i64,
    product: i64,
    #[serde(deserialize_with = "wire::quantity_from")]
    internal_quantity: Decimal,
    #[serde(rename = "product.")]
    stocked: Stocked,
    #[serde(rename = "sale.", default)]
    sale: Option<WebSale>,
}

#[derive(Debug, Deserialize)]
struct Stocked {
    id: i64,
    #[serde(deserialize_with = "wire::quantity_from")]
    quantity: Decimal,
}

#[derive(Debug, Deserialize)]
struct WebSale {
    web_id: Option<String>,
    web_shop: Option<i64>,
}

/// What lies there of one product.
#[derive(Debug, Default)]
struct Held {
    on_hand: Decimal,
    reserved: Decimal,
    /// By web shop and order id.
    sales: BTreeMap<(i64, String), Promised>,
}

/// What a web order's open moves take.
#[derive(Debug, Default)]
struct Promised {
    quantity: Decimal,
    /// Ids grow: it tells which orders came last.
    last_move: i64,
}

#[async_trait]
impl StockSource for Target {
    async fn changed(&self, since: Option<&Cursor>) -> Result<StockPage, Fault> {
        let Some(since) = since else {
            let next = Position::starting(self.rpc.ping().await?).cursor();
            return Ok(StockPage { levels: Vec::new(), next, more: false });
        };
        let position = Position::of(since)?;
        let search = Search {
            order: &[("last_modified_at", "ASC"), ("id", "ASC")],
            ..Search::of("stock.move", position.domain(self.settings.stock_overlap), &["product.code", "last_modified_at"]).limit(PAGE)
        };
        let (moves, at): (Vec<Moved>, _) = self.rpc.search_at(search).await?;
        let more = moves.len() == PAGE;
        let (fresh, next) = position.advance(moves, more, at, self.settings.stock_overlap);
        let codes: BTreeSet<String> = fresh.into_iter().filter_map(|it| it.product.code).filter(|it| !it.is_empty()).collect();
        let levels = if codes.is_empty() { Vec::new() } else { self.levels_of(&codes, at).await? };
        Ok(StockPage { levels, next: next.cursor(), more })
    }

    async fn all(&self, after: Option<&str>, limit: usize) -> Result<Vec<StockLevel>, Fault> {
        let mut after = after.unwrap_or_default().to_owned();
        loop {
            let (levels, last) = self.page_behind(&after, limit).await?;
            match last {
                // A page of twins only is not the end.
                Some(last) if levels.is_empty() => after = last,
                _ => return Ok(levels),
            }
        }
    }

    async fn now(&self) -> Result<DateTime<Utc>, Fault> {
        Ok(self.rpc.ping().await?)
    }
}

impl Target {
    /// Levels of the products behind a code, by their codes, and the last code that was looked at. `None`: there are no more.
    async fn page_behind(&self, after: &str, limit: usize) -> Result<(Vec<StockLevel>, Option<String>), Fault> {
        let domain = json!([["type", "=", "goods"], ["code", "!=", null], ["code", ">", after]]);
        // One more than asked for: it shows whether the page's last SKU has a twin on the next.
        let search = Search { order: &[("code", "ASC"), ("id", "ASC")], ..Search::of("product.product", domain, &["code"]) };
        let (mut rows, at): (Vec<Coded>, _) = self.rpc.search_at(search.limit(limit + 1)).await?;
        let twins = twins(&rows);
        rows.truncate(limit);
        let mut levels = self.levels(&rows, &twins, at).await?;
        // In Tryton's order, by which the next page is asked for.
        let place: BTreeMap<&str, usize> = rows.iter().enumerate().filter_map(|(place, it)| Some((it.code.as_deref()?, place))).collect();
        levels.sort_by_key(|it| place.get(it.sku.as_str()).copied());
        Ok((levels, rows.last().and_then(|it| it.code.clone())))
    }

    async fn levels_of(&self, codes: &BTreeSet<String>, at: DateTime<Utc>) -> Result<Vec<StockLevel>, Fault> {
        let domain = json!([["type", "=", "goods"], ["code", "in", codes]]);
        let products: Vec<Coded> = self.rpc.search(Search::of("product.product", domain, &["code"])).await?;
        let twins = twins(&products);
        self.levels(&products, &twins, at).await
    }

    /// Levels of products. `at` is a time before now, by the server's clock.
    async fn levels(&self, products: &[Coded], twins: &BTreeSet<String>, at: DateTime<Utc>) -> Result<Vec<StockLevel>, Fault> {
        for sku in twins {
            tracing::warn!(sku, "several products have this code; its stock is not published");
        }
        let products: Vec<(i64, Sku)> = products
            .iter()
            .filter_map(|it| Some((it.id, it.code.as_deref().filter(|code| !twins.contains(*code))?)))
            .filter_map(|(id, code)| Some((id, Sku::new(code).ok()?)))
            .collect();
        if products.is_empty() {
            return Ok(Vec::new());
        }
        let ids: BTreeSet<i64> = products.iter().map(|(id, _)| *id).collect();
        let held = self.held(&ids, at).await?;
        let shops = self.storefronts();
        let level = |(id, sku): (i64, Sku)| {
            let held = held.get(&id)?;
            Some(StockLevel {
                sku,
                location: self.settings.location(),
                on_hand: held.on_hand,
                reserved: held.reserved,
                observed_at: at,
                open_sales: open_sales(held, &shops),
            })
        };
        Ok(products.into_iter().filter_map(level).collect())
    }

    async fn held(&self, ids: &BTreeSet<i64>, at: DateTime<Utc>) -> Result<BTreeMap<i64, Held>, Fault> {
        // Tryton's today may be a day ahead of UTC. A later date counts no more: quantities of moves that are done.
        let date = at.date_naive();
        let date = date.checked_add_days(Days::new(1)).unwrap_or(date);
        let context = json!({"locations": [self.settings.warehouse], "stock_date_end": wire::date(date)});
        let domain = json!([
            ["state", "in", ["draft", "assigned"]],
            ["to_location.type", "=", "customer"],
            ["from_location", "child_of", [self.settings.warehouse], "parent"],
            ["product", "in", ids],
        ]);
        let fields = ["product", "internal_quantity", "product.quantity", "sale.web_id", "sale.web_shop"];
        let moves: Vec<OpenMove> =
            self.rpc.search(Search { context: context.clone(), ..Search::of("stock.move", domain, &fields) }).await?;
        let mut held = BTreeMap::new();
        for open in moves {
            add(held.entry(open.product).or_default(), open);
        }
        let rest: Vec<&i64> = ids.iter().filter(|it| !held.contains_key(it)).collect();
        if !rest.is_empty() {
            let search = Search::of("product.product", json!([["id", "in", rest]]), &["quantity"]);
            let rows: Vec<Stocked> = self.rpc.search(Search { context, ..search }).await?;
            held.extend(rows.into_iter().map(|it| (it.id, Held { on_hand: it.quantity, ..Held::default() })));
        }
        Ok(held)
    }

    fn storefronts(&self) -> BTreeMap<i64, ConnectionId> {
        let shops = self.settings.web_shops.iter();
        shops.filter_map(|(connection, shop)| Some((*shop, connection.parse().ok()?))).collect()
    }
}

fn add(held: &mut Held, open: OpenMove) {
    held.on_hand = open.stocked.quantity;
    held.reserved += open.internal_quantity;
    if let Some(WebSale { web_id: Some(web_id), web_shop: Some(shop) }) = open.sale {
        let promised = held.sales.entry((shop, web_id)).or_default();
        promised.quantity += open.internal_quantity;
        promised.last_move = promised.last_move.max(open.id);
    }
}

/// The last web orders among the open sales. Sales of a desk, or of a web shop that we do not serve, only count in the sum.
fn open_sales(held: &Held, shops: &BTreeMap<i64, ConnectionId>) -> Vec<OpenSale> {
    let of_shop = |((shop, order), promised): (&(i64, String), &Promised)| {
        let order = AggregateKey::order(shops.get(shop)?, order);
        Some((promised.last_move, OpenSale { order, quantity: promised.quantity }))
    };
    let mut sales: Vec<_> = held.sales.iter().filter(|((_, order), _)| !order.starts_with("refund:")).filter_map(of_shop).collect();
    sales.sort_by_key(|(last_move, _)| Reverse(*last_move));
    sales.into_iter().take(StockLevel::MOST_OPEN_SALES).map(|(_, sale)| sale).collect()
}

/// Codes that several products have.
fn twins(products: &[Coded]) -> BTreeSet<String> {
    let (mut seen, mut twins) = (BTreeSet::new(), BTreeSet::new());
    for code in products.iter().filter_map(|it| it.code.as_deref()) {
        if !seen.insert(code) {
            twins.insert(code.to_owned());
        }
    }
    twins
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: i64 = 1;

    fn open(id: i64, web_id: &str, web_shop: i64) -> OpenMove {
        OpenMove {
            id,
            product: 4,
            internal_quantity: Decimal::ONE,
            stocked: Stocked { id: 4, quantity: Decimal::from(5000) },
            sale: Some(WebSale { web_id: Some(web_id.to_owned()), web_shop: Some(web_shop) }),
        }
    }

    fn held(moves: impl IntoIterator<Item = OpenMove>) -> Held {
        let mut held = Held::default();
        moves.into_iter().for_each(|it| add(&mut held, it));
        held
    }

    fn listed(held: &Held) -> Vec<(String, Decimal)> {
        let shops = BTreeMap::from([(SHOP, "shop".parse().unwrap())]);
        let mut sales: Vec<_> = open_sales(held, &shops).into_iter().map(|it| (it.order.to_string(), it.quantity)).collect();
        sales.sort();
        sales
    }

    #[test]
    fn only_web_orders_of_shops_that_we_serve_are_listed() {
        let held = held([open(1, "77", SHOP), open(2, "refund:9", SHOP), open(3, "78", 2), open(4, "77", SHOP)]);
        assert_eq!(listed(&held), [("shop/order/77".to_owned(), Decimal::TWO)]);
        assert_eq!(held.reserved, Decimal::from(4));
    }

    #[test]
    fn of_many_open_sales_the_last_are_listed_and_all_are_reserved() {
        let most = i64::try_from(StockLevel::MOST_OPEN_SALES).unwrap();
        // The oldest got a move again: it is among the last.
        let moves = (1..=most + 2).map(|id| open(id, &format!("{:04}", 9000 - id), SHOP)).chain([open(most + 3, "8999", SHOP)]);
        let held = held(moves);
        let listed = listed(&held);
        assert_eq!(listed.len(), StockLevel::MOST_OPEN_SALES);
        let is_listed = |id: i64| listed.iter().any(|(order, _)| *order == format!("shop/order/{:04}", 9000 - id));
        assert!(is_listed(1) && !is_listed(2) && !is_listed(3) && is_listed(4) && is_listed(most + 2));
        assert_eq!(held.reserved, Decimal::from(most + 3));
    }
}
