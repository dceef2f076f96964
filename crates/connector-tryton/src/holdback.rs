//! Goods that were given back before they left: they must not be shipped.
//!
//! A refund whose goods do not come back (`cancel`, `no_restock`) is about pieces that the buyer keeps or that are still on
//! the shelf; Tryton tells which. Of each item `sold - kept back - shipped` may still leave; what open shipments hold beyond
//! that is cut off. Tryton cannot cancel a move inside a shipment, so the shipment goes back to draft and its move is
//! shortened or taken out; Tryton then makes a second shipment for the rest (when its worker comes to it, so we do not wait
//! for that but ask for it), which is cancelled, and its moves are marked as ignored.
//! A shipment that holds nothing else is cancelled at once. What is packed already only a person can unpack.
//!
//! Everything is computed from what stands in Tryton, so each step can be repeated and resumed.

use std::collections::{BTreeMap, BTreeSet};

use connector::erp::{Findings, Guarantee, Probe, StepCall, StepError};
use domain::refund::Restock;
use domain::{Operation, Refund};
use fault::Fault;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Target;
use crate::error::{Refusal, RpcError};
use crate::rpc::Search;
use crate::steps::Row;
use crate::wire::{self, Document, SaleState};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Reopen,
    Shorten,
    Wait,
    Split,
    Drop,
    Forget,
    Settle,
}

pub(crate) const STEPS: [Row; 7] = [
    ("reopen", Guarantee::Unique, true),
    ("shorten", Guarantee::Upsert, true),
    ("wait", Guarantee::Unique, true),
    ("split", Guarantee::Upsert, true),
    ("drop", Guarantee::Unique, true),
    ("forget", Guarantee::Upsert, true),
    ("settle", Guarantee::Upsert, true),
];

impl Stage {
    const ALL: [Self; 7] = [Self::Reopen, Self::Shorten, Self::Wait, Self::Split, Self::Drop, Self::Forget, Self::Settle];

    /// The stage of a step of `book_refund`.
    pub(crate) fn of(call: &StepCall<'_>) -> Option<Self> {
        if !matches!(call.command.operation, Operation::BookRefund { .. }) {
            return None;
        }
        STEPS.iter().position(|(name, ..)| *name == call.step).map(|it| Self::ALL[it])
    }
}

/// Whether a refund may be about goods that have not left.
pub(crate) fn concerns(refund: &Refund) -> bool {
    refund.lines.iter().any(|it| it.restock != Restock::Return && !it.quantity.is_zero())
}

const GOODS: &[&str] = &[
    "state",
    "shipment_state",
    "shipments.state",
    "lines.product.code",
    "lines.product.type",
    "lines.quantity",
    "lines.moves.state",
    "lines.moves.quantity",
    "lines.moves.shipment",
    "lines.moves_ignored",
    "lines.moves_recreated",
];

/// A sale's goods and where they are.
#[derive(Debug, Clone, Deserialize)]
struct Goods {
    id: i64,
    state: SaleState,
    shipment_state: String,
    #[serde(rename = "shipments.", default)]
    shipments: Vec<Document>,
    #[serde(rename = "lines.", default)]
    lines: Vec<Line>,
}

#[derive(Debug, Clone, Deserialize)]
struct Line {
    id: i64,
    #[serde(rename = "product.", default)]
    product: Option<Product>,
    #[serde(deserialize_with = "wire::optional_quantity")]
    quantity: Option<Decimal>,
    #[serde(rename = "moves.", default)]
    moves: Vec<Move>,
    moves_ignored: Vec<i64>,
    moves_recreated: Vec<i64>,
}

#[derive(Debug, Clone, Deserialize)]
struct Product {
    code: Option<String>,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Move {
    id: i64,
    state: String,
    #[serde(deserialize_with = "wire::quantity_from")]
    quantity: Decimal,
    /// `stock.shipment.out,17`
    shipment: Option<String>,
}

impl Move {
    fn is_open(&self) -> bool {
        !matches!(self.state.as_str(), "done" | "cancelled")
    }

    fn shipment(&self) -> Option<i64> {
        self.shipment.as_deref()?.strip_prefix("stock.shipment.out,")?.parse().ok()
    }
}

impl Line {
    fn sku(&self) -> Option<&str> {
        self.product.as_ref()?.code.as_deref()
    }

    fn quantity(&self) -> Decimal {
        self.quantity.unwrap_or_default()
    }

    fn sum(&self, counts: impl Fn(&Move) -> bool) -> Decimal {
        self.moves.iter().filter(|it| counts(it)).map(|it| it.quantity).sum()
    }

    fn is_ignored(&self, it: &Move) -> bool {
        self.moves_ignored.contains(&it.id)
    }

    fn is_recreated(&self, it: &Move) -> bool {
        self.moves_recreated.contains(&it.id)
    }

    /// Cancelled moves of which nobody has said whether they are ignored or made again.
    fn unmarked(&self) -> impl Iterator<Item = &Move> {
        self.moves.iter().filter(|it| it.state == "cancelled" && !self.is_ignored(it) && !self.is_recreated(it))
    }

    /// Tryton would make a move for the rest: of what was cancelled only where somebody said so. For all of it where the only move was
    /// taken out of its shipment.
    fn is_short(&self) -> bool {
        let is_goods = self.product.as_ref().is_some_and(|it| it.kind == "goods");
        is_goods && self.sum(|it| !self.is_recreated(it)) < self.quantity()
    }
}

/// What is to be cut off.
#[derive(Debug, Default, PartialEq, Eq)]
struct Cuts {
    /// Shipments that hold nothing else.
    whole: Vec<i64>,
    /// Of other shipments: how much of a move stays.
    shortened: BTreeMap<i64, BTreeMap<i64, Decimal>>,
    /// Of lines: cancelled moves that are not made again.
    forgotten: BTreeMap<i64, Vec<i64>>,
    /// Some cancelled move is of both what is owed and what is not.
    is_unclear: bool,
}

/// Of an item.
#[derive(Debug, Default)]
struct Pieces {
    sold: Decimal,
    sent: Decimal,
    open: Decimal,
    ignored: Decimal,
}

impl Goods {
    fn lines_of<'g>(&'g self, sku: &'g str) -> impl Iterator<Item = &'g Line> {
        self.lines.iter().filter(move |it| it.sku() == Some(sku))
    }

    fn pieces(&self, sku: &str) -> Pieces {
        let mut pieces = Pieces::default();
        for line in self.lines_of(sku) {
            pieces.sold += line.quantity();
            pieces.sent += line.sum(|it| it.state == "done");
            pieces.open += line.sum(Move::is_open);
            pieces.ignored += line.sum(|it| line.is_ignored(it));
        }
        pieces
    }

    /// Cuts the latest moves first: those are the ones that an earlier, interrupted attempt split off.
    fn cuts(&self, kept_back: &BTreeMap<String, Decimal>) -> Cuts {
        let mut stays: BTreeMap<i64, Decimal> = BTreeMap::new();
        for (sku, kept_back) in kept_back {
            let pieces = self.pieces(sku);
            let may_leave = (pieces.sold - kept_back - pieces.sent).max(Decimal::ZERO);
            let mut excess = (pieces.open - may_leave).max(Decimal::ZERO);
            let mut open: Vec<&Move> = self.lines_of(sku).flat_map(|it| &it.moves).filter(|it| it.is_open()).collect();
            open.sort_by_key(|it| std::cmp::Reverse(it.id));
            for it in open {
                let cut = excess.min(it.quantity);
                if !cut.is_zero() {
                    stays.insert(it.id, it.quantity - cut);
                }
                excess -= cut;
            }
        }
        let mut cuts = Cuts::default();
        self.forget(kept_back, &mut cuts);
        let open = || self.lines.iter().flat_map(|it| &it.moves).filter(|it| it.is_open());
        let shipments: BTreeSet<i64> = open().filter(|it| stays.contains_key(&it.id)).filter_map(Move::shipment).collect();
        for shipment in shipments {
            let mut own = open().filter(|it| it.shipment() == Some(shipment));
            if own.all(|it| stays.get(&it.id).is_some_and(Decimal::is_zero)) {
                cuts.whole.push(shipment);
            } else {
                let own = open().filter(|it| it.shipment() == Some(shipment));
                cuts.shortened.insert(shipment, own.filter_map(|it| Some((it.id, *stays.get(&it.id)?))).collect());
            }
        }
        cuts
    }

    /// Those that we cancelled, the latest first. What a person cancelled is his to ignore or to make again, as far as it is owed.
    fn forget(&self, kept_back: &BTreeMap<String, Decimal>, cuts: &mut Cuts) {
        for (sku, kept_back) in kept_back {
            let pieces = self.pieces(sku);
            let nowhere = pieces.sold - pieces.sent - pieces.open - pieces.ignored;
            let to_come = (pieces.sold - kept_back - pieces.sent - pieces.open).max(Decimal::ZERO);
            let mut needless = nowhere - to_come;
            let mut cancelled: Vec<(i64, &Move)> = self.lines_of(sku).flat_map(|line| line.unmarked().map(|it| (line.id, it))).collect();
            cancelled.sort_by_key(|(_, it)| std::cmp::Reverse(it.id));
            let mut is_any_left = false;
            for (line, it) in cancelled {
                if it.quantity <= needless {
                    needless -= it.quantity;
                    cuts.forgotten.entry(line).or_default().push(it.id);
                } else {
                    is_any_left = true;
                }
            }
            cuts.is_unclear |= is_any_left && needless > Decimal::ZERO;
        }
    }

    fn state(&self, shipment: i64) -> &str {
        self.shipments.iter().find(|it| it.id == shipment).map_or("", |it| it.state.as_str())
    }

    /// Shipments that stand in draft with nothing to be cut off.
    fn drafts(&self, cuts: &Cuts) -> Vec<i64> {
        let drafts = self.shipments.iter().filter(|it| it.state == "draft").map(|it| it.id);
        drafts.filter(|it| !cuts.shortened.contains_key(it) && !cuts.whole.contains(it)).collect()
    }

    fn is_due(&self, stage: Stage, cuts: &Cuts) -> Result<bool, Refusal> {
        if self.state != SaleState::Processing {
            return Ok(false);
        }
        let states = || cuts.shortened.keys().map(|it| self.state(*it));
        if states().any(|it| !matches!(it, "draft" | "waiting" | "assigned")) || cuts.whole.iter().any(|it| self.state(*it) == "shipped") {
            return Err(Refusal::OnTheirWay(self.id));
        }
        if cuts.is_unclear {
            return Err(Refusal::CancelledTogether(self.id));
        }
        Ok(match stage {
            Stage::Reopen => states().any(|it| it != "draft"),
            Stage::Shorten => !cuts.shortened.is_empty(),
            Stage::Wait => !self.drafts(cuts).is_empty(),
            Stage::Split => self.lines.iter().any(Line::is_short),
            Stage::Drop => !cuts.whole.is_empty(),
            Stage::Forget => !cuts.forgotten.is_empty(),
            Stage::Settle => self.shipment_state == "exception",
        })
    }
}

impl Target {
    pub(crate) async fn probe_holdback(&self, call: &StepCall<'_>, stage: Stage) -> Result<Probe, Fault> {
        let (goods, cuts) = self.goods(call).await?;
        Ok(if goods.is_due(stage, &cuts)? { Probe::Missing } else { Probe::Done(Findings::new()) })
    }

    pub(crate) async fn hold_back(&self, call: &StepCall<'_>, stage: Stage) -> Result<Findings, StepError> {
        let (goods, cuts) = self.goods(call).await?;
        if !goods.is_due(stage, &cuts)? {
            return Ok(Findings::new());
        }
        match self.cut(&goods, &cuts, stage).await {
            Ok(()) => Ok(Findings::new()),
            Err(RpcError::User(text)) => {
                // Somebody was faster, or our own lost request: what counts is what is there now.
                let (goods, cuts) = self.goods(call).await?;
                if goods.is_due(stage, &cuts)? { Err(RpcError::User(text).into()) } else { Ok(Findings::new()) }
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn cut(&self, goods: &Goods, cuts: &Cuts, stage: Stage) -> Result<(), RpcError> {
        const SHIPMENT: &str = "stock.shipment.out";
        match stage {
            Stage::Reopen => {
                let in_state = |state: &str| cuts.shortened.keys().copied().filter(|it| goods.state(*it) == state).collect::<Vec<_>>();
                let assigned = in_state("assigned");
                if !assigned.is_empty() {
                    self.rpc.press(SHIPMENT, "wait", &assigned).await?;
                }
                self.rpc.press(SHIPMENT, "draft", &[assigned, in_state("waiting")].concat()).await
            }
            Stage::Shorten => {
                // Pairs of records and values, in one transaction. Quantities are absolute, so a repeat changes nothing.
                let pairs =
                    cuts.shortened.iter().flat_map(|(shipment, moves)| [json!([shipment]), json!({"outgoing_moves": shortened(moves)})]);
                self.rpc.call("model.stock.shipment.out.write", pairs.collect()).await.map(drop)
            }
            Stage::Wait => self.rpc.press(SHIPMENT, "wait", &goods.drafts(cuts)).await,
            Stage::Drop => self.rpc.press(SHIPMENT, "cancel", &cuts.whole).await,
            Stage::Forget => {
                let lines = cuts.forgotten.iter();
                let pairs = lines.flat_map(|(line, moves)| [json!([line]), json!({"moves_ignored": [["add", moves]]})]);
                self.rpc.call("model.sale.line.write", pairs.collect()).await.map(drop)
            }
            Stage::Split | Stage::Settle => self.rpc.press("sale.sale", "process", &[goods.id]).await,
        }
    }

    /// The order's goods, and what its refunds cut off.
    async fn goods(&self, call: &StepCall<'_>) -> Result<(Goods, Cuts), Fault> {
        let order = call.command.operation.order().ok_or_else(|| Refusal::UnknownStep(call.step.to_owned()))?;
        let shop = self.web_shop(&call.command.connection)?;
        let domain = json!([["web_shop", "=", shop], ["web_id", "=", order.id]]);
        let mut found: Vec<Goods> = self.rpc.search(Search::of("sale.sale", domain, GOODS).limit(2)).await?;
        let goods = found.pop().ok_or_else(|| Refusal::UnknownOrder(order.id.clone()))?;
        let kept_back = self.kept_back(goods.id).await?;
        let cuts = goods.cuts(&kept_back);
        Ok((goods, cuts))
    }
}

fn shortened(moves: &BTreeMap<i64, Decimal>) -> Vec<Value> {
    let mut commands = Vec::new();
    let gone: Vec<i64> = moves.iter().filter(|(_, stays)| stays.is_zero()).map(|(id, _)| *id).collect();
    if !gone.is_empty() {
        commands.push(json!(["delete", gone]));
    }
    let rest = moves.iter().filter(|(_, stays)| !stays.is_zero());
    commands.extend(rest.map(|(id, stays)| json!(["write", [id], {"quantity": wire::quantity(*stays)}])));
    commands
}

#[cfg(test)]
mod tests;
