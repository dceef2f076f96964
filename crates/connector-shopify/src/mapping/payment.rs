use domain::money::Currency;
use domain::{Money, Payment};

use super::money::{need, pair_of};
use super::tables;
use crate::error::MappingError;
use crate::wire::{List, Transaction, exact};

/// Movements of money, each in the currency that it moved in: the buyer's. `unsaid`: for those that name none.
pub(super) fn payments(from: &List<Transaction<'_>>, order_id: &str, unsaid: Option<Currency>) -> Result<Vec<Payment>, MappingError> {
    let mut payments = Vec::with_capacity(from.len());
    for (index, transaction) in from.iter().enumerate() {
        payments.extend(payment(transaction, order_id, unsaid).map_err(|error| error.within("transactions", index))?);
    }
    Ok(payments)
}

fn payment(from: &Transaction<'_>, order_id: &str, unsaid: Option<Currency>) -> Result<Option<Payment>, MappingError> {
    let Some(kind) = tables::payment_kind(&from.kind)? else { return Ok(None) };
    let id = need(from.id, "id", "a whole 64-bit id")?;
    let reference = if from.authorization.is_empty() { &from.payment_id } else { &from.authorization };
    Ok(Some(Payment {
        id: id.to_string(),
        order_id: order_id.to_owned(),
        kind,
        status: tables::payment_status(&from.status)?,
        gateway: from.gateway.to_string(),
        brand: from.payment_details.as_ref().map(|it| it.credit_card_company.to_string()).unwrap_or_default(),
        amount: amount(from, unsaid)?,
        reference: reference.to_string(),
        processed_at: from.processed_at.map(|it| it.0),
    }))
}

fn amount(from: &Transaction<'_>, unsaid: Option<Currency>) -> Result<Money, MappingError> {
    if let Some(set) = &from.amount_set {
        return Ok(pair_of(set).presentment);
    }
    let amount = need(from.amount, "amount", "an amount")?;
    let currency = need(from.currency.map(|it| it.0).or(unsaid), "currency", "an ISO 4217 currency code")?;
    Ok(exact(amount.0, currency))
}
