//! Processing: makes the invoices and shipments that a sale lacks, then works its states out anew. Doing it again changes
//! nothing as long as nothing is due.

use std::collections::BTreeSet;

use rust_decimal::Decimal;

use super::Manual;
use crate::erp::fail::Fail;
use crate::erp::model::Model;
use crate::erp::rows::{Invoice, InvoiceLine, Move, SaleLine, Shipment};
use crate::erp::world::{Numbers, World};

impl World {
    pub(in crate::erp) fn process_queued(&mut self, id: i64) -> Result<(), Fail> {
        self.process(id, Manual::default())
    }

    pub(super) fn process(&mut self, id: i64, manual: Manual) -> Result<(), Fail> {
        if !self.sales.get(id).is_some_and(|it| matches!(it.state, "confirmed" | "processing" | "done")) {
            return Ok(());
        }
        self.create_invoice(id, manual)?;
        self.create_shipments(id, manual);
        self.note_quantities(id);
        let (invoice_state, shipment_state) = (self.invoice_state(id), self.shipment_state(id));
        let sale = self.sales.row(id);
        if (sale.invoice_state, sale.shipment_state) != (invoice_state, shipment_state) {
            self.sales.update(id, |it| (it.invoice_state, it.shipment_state) = (invoice_state, shipment_state));
        }
        let state = if self.is_done(id) { "done" } else { "processing" };
        if self.sales.row(id).state != state {
            self.sales.update(id, |it| it.state = state);
        }
        Ok(())
    }

    fn create_invoice(&mut self, id: i64, manual: Manual) -> Result<(), Fail> {
        let sale = self.sales.row(id).clone();
        if sale.invoice_method == "manual" && !manual.invoice {
            return Ok(());
        }
        let mut due = Vec::new();
        for line_id in self.lines_of(id) {
            let line = self.sale_lines.row(line_id);
            if line.kind != "line" {
                continue;
            }
            let invoiced: Decimal =
                self.invoice_lines.index.by_sale_line.get(&line_id).into_iter().map(|it| self.invoice_lines.row(it).quantity).sum();
            let quantity = self.to_invoice(line_id, line, sale.invoice_method) - invoiced;
            if quantity.is_zero() {
                continue;
            }
            if line.product.is_some_and(|it| !self.templates.row(self.products.row(it).template).accounted) {
                let name = self.rec_name(Model::Sale, id);
                return Err(Fail::User(format!("To invoice sale \"{name}\" you must give its product a revenue account.")));
            }
            due.push((line_id, quantity));
        }
        if due.is_empty() {
            return Ok(());
        }
        let invoice = self.invoices.insert(Invoice {
            number: None,
            state: "draft",
            party: sale.party,
            currency: sale.currency,
            reference: None,
            invoice_date: None,
            paid: Decimal::ZERO,
        });
        for (origin, quantity) in due {
            let line = self.sale_lines.row(origin).clone();
            self.invoice_lines.insert(InvoiceLine {
                invoice,
                origin,
                product: line.product,
                unit: line.unit,
                quantity,
                unit_price: line.unit_price,
                taxes: line.taxes,
                description: line.description,
            });
        }
        Ok(())
    }

    /// What of a line must have been invoiced by now.
    fn to_invoice(&self, id: i64, line: &SaleLine, method: &str) -> Decimal {
        if method != "fulfillment" || !line.product.is_some_and(|it| self.is_goods(it)) {
            return line.quantity;
        }
        let done = self.moves_of_line(id).into_iter().map(|it| self.moves.row(it)).filter(|it| it.state == "done");
        done.map(|it| if it.to == self.places.customer { it.quantity } else { -it.quantity }).sum()
    }

    fn create_shipments(&mut self, id: i64, manual: Manual) {
        let sale = self.sales.row(id).clone();
        if sale.shipment_method == "manual" && !manual.shipment {
            return;
        }
        for kind in [Model::Shipment, Model::Return] {
            let due: Vec<_> = self.lines_of(id).into_iter().filter_map(|line| Some((line, self.to_move(line, kind)?))).collect();
            if due.is_empty() {
                continue;
            }
            let is_return = kind == Model::Return;
            let number = Numbers::take(if is_return { &mut self.numbers.shipment_return } else { &mut self.numbers.shipment });
            let today = self.today();
            let shipment = Shipment {
                number,
                state: "draft",
                reference: None,
                customer: sale.party,
                address: sale.shipment_address,
                warehouse: sale.warehouse.unwrap_or(self.places.warehouse),
                planned_date: Some(today),
                effective_date: None,
            };
            let table = if is_return { &mut self.returns } else { &mut self.shipments };
            let shipment = table.insert(shipment);
            let places = self.places;
            let (from, to) = if is_return { (places.customer, places.input) } else { (places.output, places.customer) };
            for (line_id, quantity) in due {
                let line = self.sale_lines.row(line_id);
                self.moves.insert(Move {
                    product: line.product.expect("only products are moved"),
                    quantity,
                    unit: line.unit.unwrap_or(places.unit),
                    from,
                    to,
                    state: "draft",
                    origin: Some((Model::SaleLine, line_id)),
                    shipment: Some((kind, shipment)),
                    planned_date: Some(today),
                    effective_date: None,
                });
            }
            if !is_return {
                self.start_waiting(shipment);
            }
        }
    }

    /// How much of a line is still to be sent, or to come back.
    fn to_move(&self, id: i64, kind: Model) -> Option<Decimal> {
        let line = self.sale_lines.row(id);
        let is_ours = line.kind == "line" && line.product.is_some_and(|it| self.is_goods(it));
        if !is_ours || (kind == Model::Shipment) != (line.quantity >= Decimal::ZERO) {
            return None;
        }
        let wanted = match self.sales.row(line.sale).shipment_method {
            "invoice" => {
                let lines = self.invoice_lines.index.by_sale_line.get(&id).into_iter().map(|it| self.invoice_lines.row(it));
                lines.filter(|it| self.invoices.row(it.invoice).state == "paid").map(|it| it.quantity.abs()).sum()
            }
            _ => line.quantity.abs(),
        };
        let moved: Decimal = self.moves_of_line(id).into_iter().map(|it| self.moves.row(it).quantity).sum();
        Some(wanted - moved).filter(|it| *it > Decimal::ZERO)
    }

    /// What will really be sent of each line, now that some moves may be ignored.
    fn note_quantities(&mut self, id: i64) {
        for line_id in self.lines_of(id) {
            let line = self.sale_lines.row(line_id);
            let ignored: Decimal = line.moves_ignored.iter().filter_map(|it| self.moves.get(*it)).map(|it| it.quantity).sum();
            let actual = if line.quantity >= Decimal::ZERO { line.quantity - ignored } else { line.quantity + ignored };
            if line.kind == "line" && line.actual_quantity != Some(actual) {
                self.sale_lines.update(line_id, |it| it.actual_quantity = Some(actual));
            }
        }
    }

    fn invoice_state(&self, id: i64) -> &'static str {
        let ignored = &self.sales.row(id).invoices_ignored;
        let invoices = self.invoices_of(id).into_iter().filter(|it| !ignored.contains(it));
        let states: Vec<_> = invoices.map(|it| self.invoices.row(it).state).collect();
        if states.is_empty() {
            "none"
        } else if states.contains(&"cancelled") {
            "exception"
        } else if states.iter().all(|it| *it == "paid") {
            "paid"
        } else if states.contains(&"paid") {
            "partially paid"
        } else if states.contains(&"posted") {
            "awaiting payment"
        } else {
            "pending"
        }
    }

    fn shipment_state(&self, id: i64) -> &'static str {
        let lines = self.lines_of(id);
        let is_exception = |line: &i64| {
            let ignored = &self.sale_lines.row(*line).moves_ignored;
            self.moves_of_line(*line).iter().any(|it| self.moves.row(*it).state == "cancelled" && !ignored.contains(it))
        };
        if lines.iter().any(is_exception) {
            return "exception";
        }
        if self.moves_of(id).into_iter().all(|it| self.moves.row(it).state == "cancelled") {
            return "none";
        }
        let progress: Vec<_> = lines.into_iter().filter_map(|it| self.move_progress(it)).collect();
        if progress.iter().all(|it| *it >= Decimal::ONE) {
            "sent"
        } else if progress.iter().any(|it| *it > Decimal::ZERO) {
            "partially shipped"
        } else {
            "waiting"
        }
    }

    fn is_done(&self, id: i64) -> bool {
        let sale = self.sales.row(id);
        let lines = self.lines_of(id);
        let all = |progress: &dyn Fn(i64) -> Option<Decimal>| lines.iter().filter_map(|it| progress(*it)).all(|it| it >= Decimal::ONE);
        let invoiced = match sale.invoice_state {
            "paid" => true,
            "none" => all(&|it| self.invoice_progress(it)),
            _ => false,
        };
        let shipped = match sale.shipment_state {
            "sent" => true,
            "none" => all(&|it| self.move_progress(it)),
            _ => false,
        };
        invoiced && shipped
    }

    /// Share of a line that is paid or given up.
    fn invoice_progress(&self, id: i64) -> Option<Decimal> {
        let line = self.sale_lines.row(id);
        if line.kind != "line" || line.quantity.is_zero() {
            return None;
        }
        let ignored = &self.sales.row(line.sale).invoices_ignored;
        let lines = self.invoice_lines.index.by_sale_line.get(&id).into_iter().map(|it| self.invoice_lines.row(it));
        let settled = lines.filter(|it| ignored.contains(&it.invoice) || self.invoices.row(it.invoice).state == "paid");
        Some(settled.map(|it| it.quantity).sum::<Decimal>() / line.quantity)
    }

    /// Share of a line that has left (or come back) or is given up.
    fn move_progress(&self, id: i64) -> Option<Decimal> {
        let line = self.sale_lines.row(id);
        if line.kind != "line" || line.quantity.is_zero() || !line.product.is_some_and(|it| self.is_goods(it)) {
            return None;
        }
        let is_settled = |it: &i64| self.moves.row(*it).state == "done" || line.moves_ignored.contains(it);
        let settled = self.moves_of_line(id).into_iter().filter(is_settled);
        Some(settled.map(|it| self.moves.row(it).quantity).sum::<Decimal>() / line.quantity.abs())
    }

    /// Has the sales of these moves processed once the transaction is through.
    pub(in crate::erp) fn enqueue_sales_of(&mut self, moves: &[i64]) {
        let sales: BTreeSet<_> = moves.iter().filter_map(|it| self.sale_of_move(*it)).collect();
        sales.into_iter().for_each(|sale| self.enqueue(sale));
    }
}
