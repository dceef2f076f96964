//! The return of a customer shipment: draft, received, done.

use crate::erp::fail::Fail;
use crate::erp::model::Model;
use crate::erp::rows::Move;
use crate::erp::world::World;

impl World {
    /// The goods are at the entrance: they are on hand again from here on.
    pub(super) fn receive_return(&mut self, id: i64) -> Result<(), Fail> {
        self.expect_return(id, "receive", &["draft"])?;
        let (places, today) = (self.places, self.today());
        let (incoming, _) = self.shipment_moves(Model::Return, id);
        for it in &incoming {
            self.moves.update(*it, |it| (it.state, it.effective_date) = ("done", Some(today)));
            let row = self.moves.row(*it).clone();
            self.moves.insert(Move {
                from: places.input,
                to: places.storage,
                state: "draft",
                origin: Some((Model::Move, *it)),
                effective_date: None,
                ..row
            });
        }
        self.returns.update(id, |it| (it.state, it.effective_date) = ("received", Some(today)));
        self.enqueue_sales_of(&incoming);
        Ok(())
    }

    pub(super) fn do_return(&mut self, id: i64) -> Result<(), Fail> {
        self.expect_return(id, "do", &["received"])?;
        let today = self.today();
        for it in self.shipment_moves(Model::Return, id).1 {
            self.moves.update(it, |it| (it.state, it.effective_date) = ("done", Some(today)));
        }
        self.returns.update(id, |it| it.state = "done");
        Ok(())
    }

    pub(super) fn cancel_return(&mut self, id: i64) -> Result<(), Fail> {
        self.expect_return(id, "cancel", &["draft", "received"])?;
        let (incoming, inside) = self.shipment_moves(Model::Return, id);
        for it in incoming.iter().chain(&inside) {
            self.moves.update(*it, |it| it.state = "cancelled");
        }
        self.returns.update(id, |it| it.state = "cancelled");
        self.enqueue_sales_of(&incoming);
        Ok(())
    }

    fn expect_return(&self, id: i64, button: &str, states: &[&str]) -> Result<(), Fail> {
        if states.contains(&self.returns.row(id).state) {
            return Ok(());
        }
        Err(self.cannot_call(Model::Return, button, id))
    }
}
