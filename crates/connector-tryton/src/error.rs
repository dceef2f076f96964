//! What can go wrong with Tryton, and what each of it means for trying again.
//!
//! [`RpcError`]: the call failed, or Tryton said no. [`Refusal`]: we say no, before or after reading what is there.

use std::time::Duration;

use connector::erp::{LEASE_EXPIRED, StepError};
use domain::Money;
use fault::{Class, Classify, Fault};
use http_kit::{NotSent, Unknown};

/// A call that did not give a result. The body decides before the status: Tryton answers 200 for most refusals.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RpcError {
    #[error("could not reach Tryton: {0}")]
    NotSent(#[source] NotSent),
    #[error("no trustworthy answer from Tryton: {0}")]
    Unknown(#[source] Unknown),
    #[error("Tryton refused the user or its password (401); check `user` and `password_file`")]
    Unauthorized,
    #[error("Tryton forbids the user to call `{0}` (403); check the user's groups")]
    Forbidden(String),
    #[error("Tryton serves nothing there (404); check the database's name in `url`")]
    NotFound,
    #[error("Tryton asks to slow down (429)")]
    TooMany(Option<Duration>),
    /// 503 of a known cause; the transaction was rolled back.
    #[error("Tryton could not get a lock on its database")]
    Locked,
    #[error("Tryton is away ({status})")]
    Away { status: u16, retry_after: Option<Duration> },
    #[error("Tryton failed on `{method}` ({status})")]
    Failed { method: String, status: u16 },
    #[error("Tryton did not understand `{method}` ({status}); is it series 8, and is `url` right?")]
    Protocol { method: String, status: u16 },
    /// 200, and not what Tryton says: a proxy's page, half a body, the answer to something else.
    #[error("the answer to `{0}` is not from Tryton")]
    Foreign(String),
    #[error("Tryton refused: {0}")]
    User(String),
    #[error("Tryton warns ({kind}) and waits for a person: {text}")]
    Warning { name: String, kind: String, text: String },
    #[error("the record changed in Tryton at the same time")]
    Concurrency,
    #[error("Tryton asks to log in again")]
    Login,
    /// An exception that Tryton does not expect itself: a module's fault, or ours.
    #[error("Tryton broke on `{method}`: {text}")]
    Exception { method: String, text: String },
    #[error("the result of `{method}` has another shape than Tryton 8.2 gives: {what}")]
    Shape { method: String, what: String },
}

impl RpcError {
    /// Whether the request may have changed something. False only where a valid answer says that it did not, or where
    /// nothing was sent.
    pub(crate) fn maybe_applied(&self) -> bool {
        match self {
            Self::NotSent(_)
            | Self::Unauthorized
            | Self::Forbidden(_)
            | Self::NotFound
            | Self::TooMany(_)
            | Self::Locked
            | Self::Protocol { .. }
            | Self::User(_)
            | Self::Warning { .. }
            | Self::Concurrency
            | Self::Login => false,
            Self::Unknown(_) | Self::Away { .. } | Self::Failed { .. } | Self::Foreign(_) | Self::Exception { .. } | Self::Shape { .. } => {
                true
            }
        }
    }
}

impl Classify for RpcError {
    fn class(&self) -> Class {
        match self {
            Self::NotSent(NotSent::Refused | NotSent::Dns | NotSent::Tls | NotSent::ConnectTimeout) => Class::Outage,
            // Settings that forbid what they ask for.
            Self::NotSent(NotSent::Forbidden(_) | NotSent::Invalid(_)) => Class::Auth,
            Self::Unauthorized | Self::Forbidden(_) | Self::NotFound | Self::Login => Class::Auth,
            // Nobody's failure: the step is claimed anew, if it is ours still.
            Self::NotSent(NotSent::TooLate) | Self::TooMany(_) => Class::RateLimited,
            Self::Away { .. } => Class::Outage,
            Self::Unknown(_) | Self::Locked | Self::Failed { .. } | Self::Foreign(_) | Self::Concurrency => Class::Transient,
            Self::User(_) | Self::Warning { .. } | Self::Exception { .. } | Self::Protocol { .. } => Class::BusinessRejected,
            Self::Shape { .. } => Class::Schema,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NotSent(NotSent::Forbidden(_) | NotSent::Invalid(_)) => "erp_address_forbidden",
            Self::NotSent(NotSent::TooLate) => LEASE_EXPIRED,
            Self::NotSent(_) => "erp_unreachable",
            Self::Unknown(_) => "erp_no_answer",
            Self::Unauthorized | Self::Login => "erp_unauthorized",
            Self::Forbidden(_) => "erp_forbidden",
            Self::NotFound => "erp_database_unknown",
            Self::TooMany(_) => "erp_rate_limited",
            Self::Locked => "erp_locked",
            Self::Away { .. } => "erp_away",
            Self::Failed { .. } => "erp_failed",
            Self::Protocol { .. } => "erp_protocol",
            Self::Foreign(_) => "erp_foreign_answer",
            Self::User(_) => "erp_refused",
            Self::Warning { .. } => "erp_warning",
            Self::Concurrency => "erp_concurrent_change",
            Self::Exception { .. } => "erp_exception",
            Self::Shape { .. } => "erp_shape",
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooMany(wait) | Self::Away { retry_after: wait, .. } => *wait,
            Self::NotSent(NotSent::TooLate) => Some(Duration::ZERO),
            _ => None,
        }
    }
}

impl From<RpcError> for StepError {
    fn from(error: RpcError) -> Self {
        let maybe_applied = error.maybe_applied();
        Self { fault: error.into(), maybe_applied }
    }
}

/// A fault after the step's request went out: whatever it is, the effect may be there.
pub(crate) fn after_write(error: impl Into<Fault>) -> StepError {
    StepError { fault: error.into(), maybe_applied: true }
}

/// Our own no.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("no web shop is set for storefront `{0}`; name it in `web_shops`")]
    UnknownConnection(String),
    #[error("no product has the code `{0}`")]
    UnknownItem(String),
    #[error("{count} products have the code `{sku}`; SKUs must be unique")]
    ItemTwice { sku: String, count: usize },
    #[error("line {0} has no SKU; set `unlisted_product` to book such lines")]
    NoSku(usize),
    #[error("Tryton has no currency `{0}`")]
    UnknownCurrency(String),
    #[error("Tryton has no country `{0}`; load its countries")]
    UnknownCountry(String),
    #[error("product {0} of the settings is not in Tryton, or not active")]
    UnknownProduct(i64),
    #[error("no tax is set for rate {rate} in country `{country}`; add a rule to `taxes`")]
    UnmappedTax { rate: String, country: String },
    #[error("no product is set for the shipping method `{0}`; add a rule to `shipping_methods`")]
    UnmappedShipping(String),
    #[error("{count} parties have this customer's e-mail address or id; merge them")]
    CustomerTwice { count: usize },
    #[error("another party has the customer's new e-mail address already; merge them")]
    EmailTaken,
    #[error("the buyer's party {0} is not in Tryton")]
    NoParty(i64),
    #[error("Tryton comes to {actual}, the shop to {expected}")]
    TotalMismatch { expected: Money, actual: Money },
    #[error("Tryton has no sale for order {0}")]
    UnknownOrder(String),
    #[error("sale {0} is gone; somebody deleted it in Tryton")]
    SaleGone(String),
    #[error("sale {sale} has this order's id and another content: {what}")]
    SaleDiffers { sale: i64, what: &'static str },
    #[error("sale {0} was cancelled in Tryton; cancelled orders are not placed again")]
    SaleCancelled(i64),
    #[error("sale {sale} is {state}; it can't be changed any more")]
    Confirmed { sale: i64, state: &'static str },
    #[error("sale {sale} is {state}, where another state was expected; somebody works on it in Tryton")]
    WrongState { sale: i64, state: &'static str },
    #[error("sale {0} stays confirmed; its processing does not finish")]
    NotProcessed(i64),
    #[error("goods of sale {0} have left; book a return instead")]
    Shipped(i64),
    #[error("goods of sale {0} that were refunded are packed with others; take them out in Tryton, the refund itself is booked")]
    OnTheirWay(i64),
    #[error(
        "sale {0} has a cancelled move of goods that were refunded and of others that are owed; have it made again in Tryton, then \
         replay: the refund itself is booked"
    )]
    CancelledTogether(i64),
    #[error("sale {0} is invoiced; book a refund instead")]
    Invoiced(i64),
    #[error("sale {0} was refunded in part; refund its rest instead of cancelling it")]
    Refunded(i64),
    #[error("the refund gives back {asked} of `{what}`, of which {left} are left")]
    OverRefund { what: String, asked: String, left: String },
    #[error("line {0} of the refund is not a line of the order")]
    UnknownRefundLine(String),
    #[error("the order's sale {0} is not confirmed yet; there is nothing to give back")]
    NotYetSold(i64),
    #[error("the sums of the source are beyond what can be counted: {0}")]
    Sums(#[from] domain::MoneyError),
    #[error("this connector has no step `{0}` for the operation")]
    UnknownStep(String),
}

impl Classify for Refusal {
    fn class(&self) -> Class {
        match self {
            Self::UnknownItem(_) | Self::UnknownCurrency(_) | Self::UnknownCountry(_) | Self::UnknownOrder(_) | Self::NotYetSold(_) => {
                Class::DependencyMissing
            }
            Self::TotalMismatch { .. } | Self::Sums(_) | Self::UnknownRefundLine(_) => Class::Validation,
            Self::NotProcessed(_) => Class::Transient,
            Self::UnknownStep(_) => Class::Schema,
            Self::UnknownConnection(_)
            | Self::ItemTwice { .. }
            | Self::NoSku(_)
            | Self::UnknownProduct(_)
            | Self::UnmappedTax { .. }
            | Self::UnmappedShipping(_)
            | Self::CustomerTwice { .. }
            | Self::EmailTaken
            | Self::NoParty(_)
            | Self::SaleGone(_)
            | Self::SaleDiffers { .. }
            | Self::SaleCancelled(_)
            | Self::Confirmed { .. }
            | Self::WrongState { .. }
            | Self::Shipped(_)
            | Self::OnTheirWay(_)
            | Self::CancelledTogether(_)
            | Self::Invoiced(_)
            | Self::Refunded(_)
            | Self::OverRefund { .. } => Class::BusinessRejected,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::UnknownConnection(_) => "erp_unknown_storefront",
            Self::UnknownItem(_) => "erp_unknown_item",
            Self::ItemTwice { .. } => "erp_item_twice",
            Self::NoSku(_) => "erp_line_without_sku",
            Self::UnknownCurrency(_) => "erp_unknown_currency",
            Self::UnknownCountry(_) => "erp_unknown_country",
            Self::UnknownProduct(_) => "erp_unknown_product",
            Self::UnmappedTax { .. } => "erp_unmapped_tax",
            Self::UnmappedShipping(_) => "erp_unmapped_shipping",
            Self::CustomerTwice { .. } => "erp_customer_twice",
            Self::EmailTaken => "erp_email_taken",
            Self::NoParty(_) => "erp_unknown_party",
            Self::TotalMismatch { .. } => "erp_total_mismatch",
            Self::UnknownOrder(_) => "erp_unknown_order",
            Self::SaleGone(_) => "erp_sale_gone",
            Self::SaleDiffers { .. } => "erp_sale_differs",
            Self::SaleCancelled(_) => "erp_order_cancelled",
            Self::Confirmed { .. } => "erp_order_confirmed",
            Self::WrongState { .. } => "erp_wrong_state",
            Self::NotProcessed(_) => "erp_not_processed",
            Self::Shipped(_) => "erp_order_shipped",
            Self::OnTheirWay(_) => "erp_goods_on_their_way",
            Self::CancelledTogether(_) => "erp_cancelled_together",
            Self::Invoiced(_) => "erp_order_invoiced",
            Self::Refunded(_) => "erp_order_refunded",
            Self::OverRefund { .. } => "erp_over_refund",
            Self::UnknownRefundLine(_) => "erp_unknown_refund_line",
            Self::NotYetSold(_) => "erp_not_yet_sold",
            Self::Sums(_) => "erp_sums",
            Self::UnknownStep(_) => "erp_unknown_step",
        }
    }

    fn missing(&self) -> Option<String> {
        match self {
            Self::UnknownItem(sku) => Some(format!("item:{sku}")),
            Self::UnknownCurrency(code) => Some(format!("currency:{code}")),
            Self::UnknownCountry(code) => Some(format!("country:{code}")),
            Self::UnknownOrder(id) => Some(format!("order:{id}")),
            Self::NotYetSold(sale) => Some(format!("sale:{sale}")),
            _ => None,
        }
    }
}

impl From<Refusal> for StepError {
    fn from(refusal: Refusal) -> Self {
        Fault::from(refusal).into()
    }
}

/// Tryton's text without what could be a person's: it quotes names, addresses and whatever was typed.
pub(crate) fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (position, part) in text.split('"').enumerate() {
        if position > 0 {
            out.push('"');
        }
        // Odd parts stand between quotes. Field, model and button names are words; values may be anything.
        let is_value = position % 2 == 1 && !is_name(part);
        out.push_str(if is_value { "…" } else { part });
    }
    let words: Vec<&str> = out.split(' ').map(|word| if word.contains('@') { "…" } else { word }).collect();
    words.join(" ").chars().take(300).collect()
}

/// Like `Unit Price`, `confirm`, `1 [#1001]`: a field's name, a button, a document.
fn is_name(quoted: &str) -> bool {
    const NAMES: [&str; 24] = [
        "Sale",
        "Sale Line",
        "Party",
        "Party Address",
        "Contact Mechanism",
        "Unit",
        "Unit Price",
        "Quantity",
        "Product",
        "Web ID",
        "Web Shop",
        "Currency",
        "Country",
        "Subdivision",
        "Taxes",
        "Tax",
        "Account",
        "Revenue Account",
        "Account Category",
        "Payment Term",
        "Carrier",
        "Warehouse",
        "Invoice Address",
        "Shipment Address",
    ];
    let is_button = !quoted.is_empty() && quoted.len() <= 12 && quoted.bytes().all(|it| it.is_ascii_lowercase() || it == b'_');
    let is_document = quoted.bytes().all(|it| it.is_ascii_digit() || b" []()#-,/".contains(&it));
    is_button || is_document || NAMES.contains(&quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_keeps_what_to_do_and_loses_who_it_is_about() {
        let check = |text: &str, expected: &str| assert_eq!(redact(text), expected);
        check(
            "A value is required for field \"Unit Price\" in \"Sale Line\".",
            "A value is required for field \"Unit Price\" in \"Sale Line\".",
        );
        check("You can not call \"confirm\" on \"1 [#1001]\" of \"Sale\".", "You can not call \"confirm\" on \"1 [#1001]\" of \"Sale\".");
        check("The value \"Ada Lovelace\" for field \"Party\" is not valid", "The value \"…\" for field \"Party\" is not valid");
        check("mail to ada@example.com failed", "mail to … failed");
    }

    #[test]
    fn only_a_clear_no_is_certain_to_have_changed_nothing() {
        assert!(!RpcError::NotSent(NotSent::Refused).maybe_applied());
        assert!(!RpcError::User(String::new()).maybe_applied());
        assert!(!RpcError::Locked.maybe_applied());
        assert!(RpcError::Unknown(Unknown::ReadTimeout).maybe_applied());
        assert!(RpcError::Foreign(String::new()).maybe_applied());
        assert!(RpcError::Away { status: 503, retry_after: None }.maybe_applied());
    }
}
