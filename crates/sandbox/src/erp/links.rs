//! Which records belong together.

use std::collections::BTreeSet;

use super::model::Model;
use super::world::World;

impl World {
    pub(super) fn lines_of(&self, sale: i64) -> Vec<i64> {
        self.sale_lines.index.get(&sale)
    }

    pub(super) fn moves_of_line(&self, line: i64) -> Vec<i64> {
        self.moves.index.by_origin.get(&(Model::SaleLine, line))
    }

    pub(super) fn moves_of(&self, sale: i64) -> Vec<i64> {
        self.lines_of(sale).into_iter().flat_map(|line| self.moves_of_line(line)).collect()
    }

    pub(super) fn invoices_of(&self, sale: i64) -> Vec<i64> {
        let lines = self.lines_of(sale).into_iter().flat_map(|line| self.invoice_lines.index.by_sale_line.get(&line));
        let invoices: BTreeSet<_> = lines.map(|it| self.invoice_lines.row(it).invoice).collect();
        invoices.into_iter().collect()
    }

    pub(super) fn sales_of_invoice(&self, invoice: i64) -> Vec<i64> {
        let lines = self.invoice_lines.index.by_invoice.get(&invoice);
        let sales: BTreeSet<_> = lines.into_iter().map(|it| self.sale_lines.row(self.invoice_lines.row(it).origin).sale).collect();
        sales.into_iter().collect()
    }

    /// Shipments or returns of a sale.
    pub(super) fn shipments_of(&self, sale: i64, kind: Model) -> Vec<i64> {
        let shipments = self.moves_of(sale).into_iter().filter_map(|it| self.moves.row(it).shipment);
        let of_kind: BTreeSet<_> = shipments.filter(|(model, _)| *model == kind).map(|(_, id)| id).collect();
        of_kind.into_iter().collect()
    }

    pub(super) fn sale_of_move(&self, id: i64) -> Option<i64> {
        match self.moves.row(id).origin {
            Some((Model::SaleLine, line)) => Some(self.sale_lines.row(line).sale),
            _ => None,
        }
    }

    pub(super) fn sales_of_shipment(&self, kind: Model, id: i64) -> Vec<i64> {
        let moves = self.moves.index.by_shipment.get(&(kind, id));
        let sales: BTreeSet<_> = moves.into_iter().filter_map(|it| self.sale_of_move(it)).collect();
        sales.into_iter().collect()
    }

    /// A shipment's moves to or from the customer, and those within the warehouse.
    pub(super) fn shipment_moves(&self, kind: Model, id: i64) -> (Vec<i64>, Vec<i64>) {
        let moves = self.moves.index.by_shipment.get(&(kind, id));
        moves.into_iter().partition(|it| {
            let row = self.moves.row(*it);
            row.to == self.places.customer || row.from == self.places.customer
        })
    }

    pub(super) fn digits_of_sale(&self, sale: i64) -> u32 {
        self.currencies.row(self.sales.row(sale).currency).digits
    }

    pub(super) fn is_goods(&self, product: i64) -> bool {
        self.templates.row(self.products.row(product).template).kind == "goods"
    }

    /// What a sale, or a record that belongs to one, is called by the shop.
    pub(super) fn web_ids(&self, model: Model, id: i64) -> Vec<String> {
        let sales = match model {
            Model::Sale => vec![id],
            Model::SaleLine => self.sale_lines.get(id).map(|it| it.sale).into_iter().collect(),
            Model::Move if self.moves.has(id) => self.sale_of_move(id).into_iter().collect(),
            Model::Shipment | Model::Return => self.sales_of_shipment(model, id),
            Model::Invoice => self.sales_of_invoice(id),
            _ => Vec::new(),
        };
        sales.into_iter().filter_map(|it| self.sales.get(it)?.web_id.clone()).collect()
    }
}
