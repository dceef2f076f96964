//! What orders take of SKUs, and the sums of it.

use std::collections::{BTreeMap, BTreeSet};

use domain::{AggregateKey, Decimal, Sku};
use sqlx::Row as _;
use sqlx::types::Json;
use store::{Error, Tx};

use super::{Groups, corrupt, parsed, sku_of};
use crate::core::availability::is_over;
use crate::core::book::Book;
use crate::core::feeds::Feeds;
use crate::core::pending::{Amounts, Group, Line, WebOrder};

pub(super) async fn skus_of(tx: &mut Tx, orders: &[&AggregateKey]) -> Result<Vec<Sku>, Error> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<&str> = orders.iter().map(|it| it.as_str()).collect();
    let sql = "select distinct sku from stock.line where aggregate = any($1)";
    let rows = sqlx::query(sql).bind(keys).fetch_all(tx).await?;
    rows.iter().map(sku_of).collect()
}

/// All lines of the orders, and those that are listed somewhere.
pub(super) async fn load(
    tx: &mut Tx,
    orders: &[&AggregateKey],
    listed: &BTreeSet<(AggregateKey, Sku)>,
) -> Result<BTreeMap<(AggregateKey, Sku), Line>, Error> {
    if orders.is_empty() && listed.is_empty() {
        return Ok(BTreeMap::new());
    }
    let sql = "select aggregate, sku, ordered, quantity, history, listed from stock.line where aggregate = any($1)
               union
               select l.aggregate, l.sku, l.ordered, l.quantity, l.history, l.listed
               from stock.line l join unnest($2::text[], $3::text[]) as i (aggregate, sku) using (aggregate, sku)";
    let rows = sqlx::query(sql)
        .bind(orders.iter().map(|it| it.as_str()).collect::<Vec<_>>())
        .bind(listed.iter().map(|it| it.0.as_str()).collect::<Vec<_>>())
        .bind(listed.iter().map(|it| it.1.as_str()).collect::<Vec<_>>())
        .fetch_all(tx)
        .await?;
    let mut lines = BTreeMap::new();
    for row in &rows {
        let Json(history) = row.try_get::<Json<Vec<(u64, Decimal)>>, _>("history")?;
        let Json(listed) = row.try_get::<Json<BTreeMap<String, Decimal>>, _>("listed")?;
        let line = Line { ordered: row.try_get("ordered")?, quantity: row.try_get("quantity")?, history, listed };
        lines.insert((parsed(row, "aggregate")?, sku_of(row)?), line);
    }
    Ok(lines)
}

/// One line as it is stored.
struct Row<'a> {
    key: &'a AggregateKey,
    sku: &'a Sku,
    line: &'a Line,
    connection: &'a str,
    group: Option<Group>,
    is_open: bool,
}

impl<'a> Row<'a> {
    fn of(book: &'a Book, feeds: &Feeds, at: &'a (AggregateKey, Sku)) -> Self {
        let (key, sku) = at;
        let line = &book.lines[at];
        // An order that we know only from an ERP's list takes nothing yet.
        let group = book.orders.get(key).map(|order| group(order, line));
        let levels = book.levels.get(sku);
        let is_open = group.as_ref().is_some_and(|it| {
            !it.amounts.unlisted.is_zero()
                && !levels.map_or_else(|| is_over(feeds, it, &BTreeMap::new()), |levels| is_over(feeds, it, levels))
        });
        Self { key, sku, line, connection: key.source(), group, is_open }
    }

    fn amounts(&self) -> Amounts {
        self.group.as_ref().map_or(Amounts { unlisted: Decimal::ZERO, unconfirmed: Decimal::ZERO }, |it| it.amounts)
    }
}

fn group(order: &WebOrder, line: &Line) -> Group {
    let confirmed = order.confirmed.as_ref().map(|it| (it.target.clone(), it.at));
    Group { connection: order.connection.clone(), confirmed, amounts: line.amounts(order) }
}

pub(super) async fn save(tx: &mut Tx, book: &Book, feeds: &Feeds) -> Result<(), Error> {
    if book.touched.lines.is_empty() {
        return Ok(());
    }
    let rows: Vec<Row<'_>> = book.touched.lines.iter().map(|at| Row::of(book, feeds, at)).collect();
    let confirmed = || rows.iter().map(|it| it.group.as_ref().and_then(|it| it.confirmed.as_ref()));
    let sql = "insert into stock.line (aggregate, sku, connection, ordered, quantity, history, listed, unlisted, unconfirmed, confirmed_target, confirmed_at, open)
               select * from unnest($1::text[], $2::text[], $3::text[], $4::numeric[], $5::numeric[], $6::jsonb[], $7::jsonb[],
                 $8::numeric[], $9::numeric[], $10::text[], $11::timestamptz[], $12::bool[])
               on conflict (aggregate, sku) do update set ordered = excluded.ordered, quantity = excluded.quantity, history = excluded.history, listed = excluded.listed,
                 unlisted = excluded.unlisted, unconfirmed = excluded.unconfirmed, confirmed_target = excluded.confirmed_target,
                 confirmed_at = excluded.confirmed_at, open = excluded.open";
    sqlx::query(sql)
        .bind(rows.iter().map(|it| it.key.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|it| it.sku.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|it| it.connection).collect::<Vec<_>>())
        .bind(rows.iter().map(|it| it.line.ordered).collect::<Vec<_>>())
        .bind(rows.iter().map(|it| it.line.quantity).collect::<Vec<_>>())
        .bind(rows.iter().map(|it| Json(&it.line.history)).collect::<Vec<_>>())
        .bind(rows.iter().map(|it| Json(&it.line.listed)).collect::<Vec<_>>())
        .bind(rows.iter().map(|it| it.amounts().unlisted).collect::<Vec<_>>())
        .bind(rows.iter().map(|it| it.amounts().unconfirmed).collect::<Vec<_>>())
        .bind(confirmed().map(|it| it.map(|it| it.0.as_str())).collect::<Vec<_>>())
        .bind(confirmed().map(|it| it.map(|it| it.1)).collect::<Vec<_>>())
        .bind(rows.iter().map(|it| it.is_open).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    Ok(())
}

/// Open lines of each SKU, summed up by what decides where they count.
pub(in crate::shell) async fn groups(tx: &mut Tx, skus: &BTreeSet<Sku>) -> Result<Groups, Error> {
    let sql = "select sku, connection, confirmed_target, confirmed_at, sum(unlisted) as unlisted, sum(unconfirmed) as unconfirmed
               from stock.line where sku = any($1) and open group by sku, connection, confirmed_target, confirmed_at";
    let rows = sqlx::query(sql).bind(skus.iter().map(Sku::as_str).collect::<Vec<_>>()).fetch_all(tx).await?;
    let mut groups = Groups::new();
    for row in &rows {
        let confirmed = match row.try_get::<Option<&str>, _>("confirmed_target")? {
            None => None,
            Some(target) => Some((target.parse().map_err(|error| corrupt("a target", error))?, row.try_get("confirmed_at")?)),
        };
        let amounts = Amounts { unlisted: row.try_get("unlisted")?, unconfirmed: row.try_get("unconfirmed")? };
        groups.entry(sku_of(row)?).or_default().push(Group { connection: parsed(row, "connection")?, confirmed, amounts });
    }
    Ok(groups)
}

/// Lines that will never count again need not be added up any more.
pub(in crate::shell) async fn close(tx: &mut Tx, over: &[(&Sku, &Group)]) -> Result<(), Error> {
    let over: Vec<_> = over.iter().filter_map(|(sku, group)| Some((sku, group, group.confirmed.as_ref()?))).collect();
    if over.is_empty() {
        return Ok(());
    }
    let sql = "update stock.line l set open = false
               from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) as i (sku, connection, target, at)
               where l.sku = i.sku and l.open and l.connection = i.connection and l.confirmed_target = i.target and l.confirmed_at = i.at";
    sqlx::query(sql)
        .bind(over.iter().map(|it| it.0.as_str()).collect::<Vec<_>>())
        .bind(over.iter().map(|it| it.1.connection.as_str()).collect::<Vec<_>>())
        .bind(over.iter().map(|it| it.2.0.as_str()).collect::<Vec<_>>())
        .bind(over.iter().map(|it| it.2.1).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    Ok(())
}
