//! What the router can't decide: each becomes a letter, and the order's later events are held behind it.

use contracts::wire::WireError;
use domain::{EntityRef, OperationKey};
use fault::{Class, Classify};
use mapping::EvalError;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "no route takes this order (connection {connection}, country `{country}`, currency {currency}): add one to the rules, then replay"
    )]
    NoRoute { connection: String, country: String, currency: String },
    #[error(transparent)]
    Rule(#[from] EvalError),
    #[error("the shop opened the cancelled order again, but {target} has cancelled it: place it there by hand, then discard this")]
    Reopened { target: String },
    #[error("the refund changed after `{operation}` had been sent to {target}: correct it there by hand, then discard this")]
    RefundChanged { operation: OperationKey, target: String },
    #[error(
        "goods were taken out before the payment and others given back after it, and both came at once: bring the order in {target} \
         to what was paid by hand, then discard this"
    )]
    Tangled { target: String },
    #[error("{entity} has two contents under its sequence {sequence}: compare the two events, then discard the wrong one")]
    SequenceConflict { entity: EntityRef, sequence: u64 },
    #[error("what is stored of the order can't be read back")]
    Stored(#[source] WireError),
}

impl Classify for Error {
    fn class(&self) -> Class {
        match self {
            Self::NoRoute { .. } => Class::Validation,
            Self::Rule(error) => error.class(),
            Self::Reopened { .. } | Self::RefundChanged { .. } | Self::Tangled { .. } => Class::BusinessRejected,
            Self::SequenceConflict { .. } => Class::Validation,
            Self::Stored(_) => Class::Schema,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NoRoute { .. } => "no_route",
            Self::Rule(error) => error.code(),
            Self::Reopened { .. } => "order_reopened",
            Self::RefundChanged { .. } => "refund_changed",
            Self::Tangled { .. } => "order_tangled",
            Self::SequenceConflict { .. } => "sequence_conflict",
            Self::Stored(_) => "router_state_unreadable",
        }
    }
}

#[cfg(test)]
mod tests {
    use contracts::wire::UNPLACED;

    use super::*;

    /// Whoever counts orders hears by these codes that one which is given up was never placed.
    #[test]
    fn the_failures_before_a_first_command_are_known_by_their_codes() {
        let no_route = Error::NoRoute { connection: String::new(), country: String::new(), currency: String::new() };
        let failed = Error::Rule(EvalError { rule: "de".into(), what: "it divides by zero" });
        assert_eq!([no_route.code(), failed.code()], UNPLACED);
    }
}
