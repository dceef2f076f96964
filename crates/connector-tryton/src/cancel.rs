//! Cancelling an order.
//!
//! Before it is processed, a sale can be cancelled. Afterwards Tryton knows no cancelled sale: its shipments and its draft
//! invoice are cancelled, each cancelled move and invoice is marked as ignored, and processing then finds nothing left to
//! do: the sale is `done`, with nothing shipped and nothing invoiced. (Deleting shipment or invoice instead would make
//! Tryton create them again.) Goods that have left or an invoice that is posted are not taken back; that is a refund.
//!
//! Shops often send a cancel as a refund of everything besides. Whichever comes first does the work, and the other finds
//! nothing to do. An order of which only a part was refunded is refused: its rest is a refund as well. Where the money went back and
//! the goods have not left yet, they stay.
//!
//! Each step is one of those parts; whether it is due is read from the sale, so a cancel resumes wherever it broke off.

use connector::erp::{Findings, Guarantee, Probe, StepCall, StepError};
use domain::Operation;
use fault::Fault;
use serde_json::{Value, json};

use crate::Target;
use crate::error::{Refusal, RpcError};
use crate::orders::findings;
use crate::refunds::{self, GivenBack, Part};
use crate::steps::Row;
use crate::wire::{Document, Sale, SaleState};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Withdraw,
    Shipments,
    Moves,
    Invoices,
    Ignore,
    Settle,
}

pub(crate) const STEPS: [Row; 6] = [
    ("withdraw", Guarantee::Unique, true),
    ("shipments", Guarantee::Unique, true),
    ("moves", Guarantee::Upsert, true),
    ("invoices", Guarantee::Unique, true),
    ("ignore", Guarantee::Upsert, true),
    ("settle", Guarantee::Upsert, true),
];

impl Stage {
    const ALL: [Self; 6] = [Self::Withdraw, Self::Shipments, Self::Moves, Self::Invoices, Self::Ignore, Self::Settle];

    /// The stage of a step of `cancel_order`.
    pub(crate) fn of(call: &StepCall<'_>) -> Option<Self> {
        if !matches!(call.command.operation, Operation::CancelOrder { .. }) {
            return None;
        }
        STEPS.iter().position(|(name, ..)| *name == call.step).map(|it| Self::ALL[it])
    }
}

impl Sale {
    /// Cancelled after it was processed: done, with nothing shipped and nothing invoiced.
    pub(crate) fn is_withdrawn(&self) -> bool {
        let all_cancelled = |documents: &[Document]| documents.iter().all(|it| it.state == "cancelled");
        let had_any = !self.invoices.is_empty() || !self.shipments.is_empty();
        self.state == SaleState::Done && had_any && all_cancelled(&self.invoices) && all_cancelled(&self.shipments)
    }

    /// Lines with the cancelled moves that nobody has marked as ignored.
    fn unmarked(&self) -> Vec<(i64, Vec<i64>)> {
        let of_line = |line: &crate::wire::SaleLine| {
            let moves = line.moves.iter().filter(|it| it.state == "cancelled" && !line.moves_ignored.contains(&it.id));
            (line.id, moves.map(|it| it.id).collect::<Vec<_>>())
        };
        self.lines.iter().map(of_line).filter(|(_, moves)| !moves.is_empty()).collect()
    }
}

/// What there is to call off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    Everything,
    /// The money is back: goods that have not left.
    Goods,
}

impl Extent {
    fn of(call: &StepCall<'_>) -> Self {
        if call.findings.contains_key(MONEY_IS_BACK) { Self::Goods } else { Self::Everything }
    }
}

const MONEY_IS_BACK: &str = "money_is_back";

/// Shipments that have not left.
fn waiting(shipments: &[Document]) -> Vec<i64> {
    shipments.iter().filter(|it| !matches!(it.state.as_str(), "cancelled" | "shipped" | "done")).map(|it| it.id).collect()
}

fn open(documents: &[Document]) -> Vec<i64> {
    documents.iter().filter(|it| it.state != "cancelled").map(|it| it.id).collect()
}

fn unignored(sale: &Sale) -> Vec<i64> {
    let cancelled = sale.invoices.iter().filter(|it| it.state == "cancelled").map(|it| it.id);
    cancelled.filter(|it| !sale.invoices_ignored.contains(it)).collect()
}

/// Whether the stage has something to do, or why the order can't be cancelled.
fn is_due(sale: &Sale, stage: Stage, extent: Extent) -> Result<bool, Refusal> {
    if extent == Extent::Goods {
        return Ok(match stage {
            Stage::Shipments => !waiting(&sale.shipments).is_empty(),
            Stage::Moves => !sale.unmarked().is_empty(),
            Stage::Settle => sale.shipment_state.as_deref() == Some("exception"),
            Stage::Withdraw | Stage::Invoices | Stage::Ignore => false,
        });
    }
    match sale.state {
        SaleState::Cancelled => return Ok(false),
        SaleState::Done if sale.is_withdrawn() => return Ok(false),
        SaleState::Draft | SaleState::Quotation | SaleState::Confirmed => {
            let reopened = Refusal::WrongState { sale: sale.id, state: sale.state.as_str() };
            return if stage == Stage::Withdraw { Ok(true) } else { Err(reopened) };
        }
        SaleState::Processing | SaleState::Done => {}
    }
    if sale.shipments.iter().any(|it| matches!(it.state.as_str(), "shipped" | "done")) {
        return Err(Refusal::Shipped(sale.id));
    }
    if sale.invoices.iter().any(|it| !matches!(it.state.as_str(), "draft" | "cancelled")) {
        return Err(Refusal::Invoiced(sale.id));
    }
    Ok(match stage {
        Stage::Withdraw => false,
        Stage::Shipments => !waiting(&sale.shipments).is_empty(),
        Stage::Moves => !sale.unmarked().is_empty(),
        Stage::Invoices => !open(&sale.invoices).is_empty(),
        Stage::Ignore => !unignored(sale).is_empty(),
        Stage::Settle => sale.state == SaleState::Processing,
    })
}

impl Target {
    pub(crate) async fn probe_cancel(&self, call: &StepCall<'_>, stage: Stage) -> Result<Probe, Fault> {
        let (_, sale) = self.existing(call, Part::Main).await?;
        if stage == Stage::Withdraw && sale.state.is_confirmed() {
            match self.given_back(&sale).await? {
                GivenBack::Nothing => {}
                GivenBack::Part => return Err(Refusal::Refunded(sale.id).into()),
                GivenBack::Everything if waiting(&sale.shipments).is_empty() => {
                    return Ok(Probe::Done(refunds::nothing_due("the order was given back in full")));
                }
                GivenBack::Everything => return Ok(Probe::Done(Findings::from([(MONEY_IS_BACK.to_owned(), "yes".to_owned())]))),
            }
        }
        Ok(if is_due(&sale, stage, Extent::of(call))? { Probe::Missing } else { Probe::Done(findings(&sale)) })
    }

    pub(crate) async fn perform_cancel(&self, call: &StepCall<'_>, stage: Stage) -> Result<Findings, StepError> {
        let (_, sale) = self.existing(call, Part::Main).await?;
        let extent = Extent::of(call);
        if !is_due(&sale, stage, extent)? {
            return Ok(findings(&sale));
        }
        match self.request(&sale, stage).await {
            Ok(()) => Ok(Findings::new()),
            Err(RpcError::User(text)) => {
                // Somebody was faster, or our own lost request: what counts is what is there now.
                let (_, sale) = self.existing(call, Part::Main).await?;
                if is_due(&sale, stage, extent)? { Err(RpcError::User(text).into()) } else { Ok(findings(&sale)) }
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn request(&self, sale: &Sale, stage: Stage) -> Result<(), RpcError> {
        match stage {
            Stage::Withdraw => {
                if sale.state == SaleState::Confirmed {
                    self.rpc.press("sale.sale", "draft", &[sale.id]).await?;
                }
                self.rpc.press("sale.sale", "cancel", &[sale.id]).await
            }
            Stage::Shipments => self.rpc.press("stock.shipment.out", "cancel", &waiting(&sale.shipments)).await,
            Stage::Moves => {
                // Pairs of records and values, in one transaction.
                let pairs =
                    sale.unmarked().into_iter().flat_map(|(line, moves)| [json!([line]), json!({"moves_ignored": [["add", moves]]})]);
                self.rpc.call("model.sale.line.write", pairs.collect::<Vec<Value>>()).await.map(drop)
            }
            Stage::Invoices => self.rpc.press("account.invoice", "cancel", &open(&sale.invoices)).await,
            Stage::Ignore => self.rpc.write("sale.sale", sale.id, json!({"invoices_ignored": [["add", unignored(sale)]]})).await,
            Stage::Settle => self.rpc.press("sale.sale", "process", &[sale.id]).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sale(state: &str, shipment: &str, invoice: &str, marked: bool) -> Sale {
        serde_json::from_value(json!({
            "id": 1, "number": "1", "state": state, "party": 3, "currency": 1, "invoice_address": 3, "shipment_address": 3,
            "reference": null, "description": null, "comment": null,
            "total_amount": {"__class__": "Decimal", "decimal": "24"}, "invoices_ignored": if marked { vec![1] } else { vec![] },
            "invoices.": [{"id": 1, "state": invoice}], "shipments.": [{"id": 1, "state": shipment}], "shipment_returns.": [],
            "lines.": [{
                "id": 1, "type": "line", "product": 4, "product.": {"id": 4, "code": "MUG"}, "quantity": 2.0,
                "unit_price": {"__class__": "Decimal", "decimal": "10"}, "amount": {"__class__": "Decimal", "decimal": "20"}, "taxes": [1],
                "moves.": [{"id": 7, "state": if shipment == "cancelled" { "cancelled" } else { "draft" }, "shipment": "stock.shipment.out,1"}],
                "moves_ignored": if marked { vec![7] } else { vec![] },
            }],
        }))
        .unwrap()
    }

    fn check(sale: &Sale, due: &str) {
        let found: Vec<String> = Stage::ALL
            .into_iter()
            .zip(STEPS)
            .filter_map(|(stage, (name, ..))| match is_due(sale, stage, Extent::Everything) {
                Ok(due) => due.then(|| name.to_owned()),
                Err(refusal) => Some(Fault::from(refusal).code.to_owned()),
            })
            .collect();
        assert_eq!(found.join(" "), due, "{}", sale.state.as_str());
    }

    #[test]
    fn what_is_due_is_read_from_the_sale() {
        check(&sale("processing", "waiting", "draft", false), "shipments invoices settle");
        check(&sale("processing", "cancelled", "draft", false), "moves invoices settle");
        check(&sale("processing", "cancelled", "cancelled", true), "settle");
        check(&sale("processing", "packed", "draft", false), "shipments invoices settle");
        check(&sale("done", "cancelled", "cancelled", true), "");
        check(&sale("cancelled", "cancelled", "cancelled", false), "");
    }

    #[test]
    fn a_quotation_is_just_cancelled() {
        let again = "erp_wrong_state";
        check(&sale("quotation", "cancelled", "cancelled", false), &format!("withdraw {}", [again; 5].join(" ")));
    }

    #[test]
    fn what_has_left_or_is_invoiced_stays() {
        check(&sale("processing", "done", "draft", false), &["erp_order_shipped"; 6].join(" "));
        check(&sale("processing", "waiting", "posted", false), &["erp_order_invoiced"; 6].join(" "));
    }
}
