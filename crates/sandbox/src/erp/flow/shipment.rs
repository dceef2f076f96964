//! A customer shipment: waiting, assigned, picked, packed, shipped, done.
//!
//! It has two rows of moves: within the warehouse from storage to the exit, and from the exit to the customer.

use rust_decimal::Decimal;

use crate::erp::fail::Fail;
use crate::erp::model::Model;
use crate::erp::rows::Move;
use crate::erp::world::World;

/// States of a shipment that can still be cancelled by everybody.
const OPEN: [&str; 6] = ["draft", "waiting", "assigned", "picked", "packed", "shipped"];

impl World {
    /// Plans the way through the warehouse.
    pub(super) fn start_waiting(&mut self, id: i64) {
        let (outgoing, inside) = self.shipment_moves(Model::Shipment, id);
        inside.into_iter().for_each(|it| self.moves.remove(it));
        let places = self.places;
        for it in outgoing {
            let row = self.moves.row(it).clone();
            if row.state == "cancelled" {
                continue;
            }
            self.moves.insert(Move { from: places.storage, to: places.output, state: "draft", origin: Some((Model::Move, it)), ..row });
        }
        self.shipments.update(id, |it| it.state = "waiting");
    }

    pub(super) fn wait_shipment(&mut self, id: i64) -> Result<(), Fail> {
        self.expect_state(id, "wait", &["draft", "waiting", "assigned"])?;
        self.start_waiting(id);
        Ok(())
    }

    pub(super) fn shipment_to_draft(&mut self, id: i64) -> Result<(), Fail> {
        self.expect_state(id, "draft", &["waiting", "cancelled"])?;
        let (outgoing, inside) = self.shipment_moves(Model::Shipment, id);
        inside.into_iter().for_each(|it| self.moves.remove(it));
        for it in outgoing {
            if self.moves.row(it).state != "draft" {
                self.moves.update(it, |it| it.state = "draft");
            }
        }
        self.shipments.update(id, |it| it.state = "draft");
        Ok(())
    }

    /// Takes what is free in the storage. Short of something, it keeps what it got and waits on.
    pub(super) fn assign_try(&mut self, id: i64) {
        if self.shipments.row(id).state != "waiting" {
            return;
        }
        let storage = self.places.storage;
        for it in self.shipment_moves(Model::Shipment, id).1 {
            let row = self.moves.row(it).clone();
            if row.state != "draft" {
                continue;
            }
            let taken = self.sum(&self.moves.index.assigned, row.product, &[storage]);
            let free = (self.on_hand(row.product, &[storage]) - taken).floor();
            if free >= row.quantity {
                self.moves.update(it, |it| it.state = "assigned");
            } else if free > Decimal::ZERO {
                // What there is is kept in a move of its own.
                self.moves.update(it, |it| it.quantity -= free);
                self.moves.insert(Move { quantity: free, state: "assigned", ..row });
            }
        }
        let inside = self.shipment_moves(Model::Shipment, id).1;
        if inside.iter().all(|it| self.moves.row(*it).state == "assigned") {
            self.shipments.update(id, |it| it.state = "assigned");
        }
    }

    pub(super) fn assign_force(&mut self, id: i64) -> Result<(), Fail> {
        self.expect_state(id, "assign_force", &["waiting"])?;
        for it in self.shipment_moves(Model::Shipment, id).1 {
            self.moves.update(it, |it| it.state = "assigned");
        }
        self.shipments.update(id, |it| it.state = "assigned");
        Ok(())
    }

    pub(super) fn pick(&mut self, id: i64) -> Result<(), Fail> {
        self.expect_state(id, "pick", &["assigned"])?;
        let today = self.today();
        for it in self.shipment_moves(Model::Shipment, id).1 {
            self.moves.update(it, |it| (it.state, it.effective_date) = ("done", Some(today)));
        }
        self.shipments.update(id, |it| it.state = "picked");
        Ok(())
    }

    pub(super) fn pack(&mut self, id: i64) -> Result<(), Fail> {
        self.expect_state(id, "pack", &["picked"])?;
        for it in self.shipment_moves(Model::Shipment, id).0 {
            self.moves.update(it, |it| it.state = "assigned");
        }
        self.shipments.update(id, |it| it.state = "packed");
        Ok(())
    }

    pub(super) fn ship(&mut self, id: i64) -> Result<(), Fail> {
        self.expect_state(id, "ship", &["packed"])?;
        self.shipments.update(id, |it| it.state = "shipped");
        Ok(())
    }

    pub(super) fn do_shipment(&mut self, id: i64) -> Result<(), Fail> {
        self.expect_state(id, "do", &["packed", "shipped"])?;
        let (today, (outgoing, _)) = (self.today(), self.shipment_moves(Model::Shipment, id));
        for it in outgoing.iter().filter(|it| self.moves.row(**it).state != "cancelled").copied().collect::<Vec<_>>() {
            self.moves.update(it, |it| (it.state, it.effective_date) = ("done", Some(today)));
        }
        self.shipments.update(id, |it| (it.state, it.effective_date) = ("done", Some(today)));
        self.enqueue_sales_of(&outgoing);
        Ok(())
    }

    pub(super) fn cancel_shipment(&mut self, id: i64) -> Result<(), Fail> {
        let is_allowed = self.conduct.stock_cancellation && self.shipments.row(id).state == "done";
        if !is_allowed {
            self.expect_state(id, "cancel", &OPEN)?;
        }
        let (outgoing, inside) = self.shipment_moves(Model::Shipment, id);
        for it in inside.iter().chain(&outgoing) {
            if self.moves.row(*it).state != "cancelled" {
                self.moves.update(*it, |it| it.state = "cancelled");
            }
        }
        self.shipments.update(id, |it| it.state = "cancelled");
        self.enqueue_sales_of(&outgoing);
        Ok(())
    }

    fn expect_state(&self, id: i64, button: &str, states: &[&str]) -> Result<(), Fail> {
        if states.contains(&self.shipments.row(id).state) {
            return Ok(());
        }
        Err(self.cannot_call(Model::Shipment, button, id))
    }
}
