//! What a transaction did, for the effect log.

use super::model::Model;
use super::rows::{Invoice, Move, Party, Sale, Shipment};
use super::totals;
use super::world::World;
use crate::effects::{Draft, Kind, Movement, Place, Stock};

/// Entries for everything that the open transaction has touched. `method` is what ran, such as `sale.sale.confirm`.
pub(super) fn transaction(world: &World, method: &str) -> Vec<Draft> {
    let mut drafts = Vec::new();
    let (model, action) = method.rsplit_once('.').unwrap_or((method, ""));
    let applied = |of: Model, is_new: bool, is_gone: bool| {
        let action = match (is_new, is_gone) {
            (true, _) => "create",
            (_, true) => "delete",
            _ if of.name() == model => action,
            // Changed in passing, by what is already told.
            _ => return None,
        };
        Some(Draft::new(Kind::Applied, format!("{}.{action}", of.name())))
    };
    for (id, before, after) in world.parties.touched() {
        let Some(party) = after.or(before) else { continue };
        drafts.extend(applied(Model::Party, before.is_none(), after.is_none()).map(|it| of_party(it, id, party)));
    }
    for (id, before, after) in world.sales.touched() {
        let Some(sale) = after.or(before) else { continue };
        let draft = applied(Model::Sale, before.is_none(), after.is_none());
        drafts.extend(draft.map(|it| of_sale(world, it, id, sale, after.is_some())));
    }
    for (of, table) in [(Model::Shipment, &world.shipments), (Model::Return, &world.returns)] {
        for (id, before, after) in table.touched() {
            let Some(shipment) = after.or(before) else { continue };
            drafts.extend(applied(of, before.is_none(), after.is_none()).map(|it| of_shipment(world, it, of, id, shipment)));
        }
    }
    for (id, before, after) in world.invoices.touched() {
        let Some(invoice) = after.or(before) else { continue };
        let draft = applied(Model::Invoice, before.is_none(), after.is_none());
        drafts.extend(draft.map(|it| of_invoice(world, it, id, invoice, after.is_some())));
    }
    for (id, before, after) in world.inventories.touched() {
        let Some(inventory) = after.or(before) else { continue };
        drafts.extend(applied(Model::Inventory, before.is_none(), after.is_none()).map(|it| it.id(id).detail(inventory.state)));
    }
    for (id, before, after) in world.moves.touched() {
        let Some(row) = after.or(before) else { continue };
        drafts.push(of_move(world, id, row, after.is_none()));
    }
    drafts
}

fn of_party(draft: Draft, id: i64, party: &Party) -> Draft {
    draft.id(id).external(party.code.clone())
}

fn of_sale(world: &World, draft: Draft, id: i64, sale: &Sale, is_there: bool) -> Draft {
    let draft = draft.id(id).detail(sale.state);
    let draft = match &sale.web_id {
        Some(web_id) => draft.external(web_id.clone()),
        None => draft,
    };
    if !is_there {
        return draft;
    }
    let totals = sale.cached.unwrap_or_else(|| totals::of_sale(world, id));
    draft.amount("untaxed", totals.untaxed).amount("tax", totals.tax).amount("total", totals.total())
}

fn of_shipment(world: &World, draft: Draft, of: Model, id: i64, shipment: &Shipment) -> Draft {
    named(draft.id(id).detail(shipment.state), &world.web_ids(of, id))
}

fn of_invoice(world: &World, draft: Draft, id: i64, invoice: &Invoice, is_there: bool) -> Draft {
    let draft = named(draft.id(id).detail(invoice.state), &world.web_ids(Model::Invoice, id));
    if is_there { draft.amount("total", totals::of_invoice(world, id).total()) } else { draft }
}

fn of_move(world: &World, id: i64, row: &Move, is_gone: bool) -> Draft {
    let product = world.products.row(row.product);
    let movement = Movement {
        id,
        sku: product.code.clone().unwrap_or_else(|| format!("#{}", row.product)),
        quantity: row.quantity,
        from: place(world, row.from),
        to: place(world, row.to),
        state: if is_gone { "deleted" } else { row.state }.to_owned(),
    };
    let draft = Draft::new(Kind::Moved, Model::Move.name()).id(id).stock(Stock::Movement(movement));
    let of_sale = world.web_ids(Model::Move, id);
    named(draft, &of_sale)
}

fn named(draft: Draft, external: &[String]) -> Draft {
    match external.first() {
        Some(external) => draft.external(external.clone()),
        None => draft,
    }
}

fn place(world: &World, location: i64) -> Place {
    match world.locations.row(location).kind {
        "customer" => Place::Customer,
        "supplier" => Place::Supplier,
        "lost_found" => Place::LostAndFound,
        _ => Place::Warehouse,
    }
}
