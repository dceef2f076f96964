//! What we do about Tryton's warnings.
//!
//! A warning stops a call until the user says "go on" (`res.user.warning.skip`) and repeats it. Its name is
//! `<hash of the records>.<kind>`; the kind decides:
//!
//! | kind | what it says | we |
//! |---|---|---|
//! | `invoice_taxes` | a line's taxes differ from the product's default ones | go on: the taxes are the shop's, by the table of the settings |
//! | `check_move_quantity` | more was shipped than was sold | refuse: somebody must look |
//! | `check_quantity_product`, `check_quantity_lot` | a shipment's parts do not match | refuse |
//! | `effective_date_future`, `invoice_date_future` | a date lies ahead | refuse |
//! | `done` | a move without origin | refuse: ours have one |
//! | `invoice_payment_term` | a payment date lies in the past | refuse |
//! | anything else | | refuse, with its text: a warning that nobody has read must not be skipped |

/// Kinds that are acknowledged.
const SKIPPED: [&str; 1] = ["invoice_taxes"];

pub(crate) fn is_skipped(name: &str) -> bool {
    SKIPPED.contains(&kind(name))
}

/// The name without the hash of its records: a closed set, fit for messages.
pub(crate) fn kind(name: &str) -> &str {
    match name.split_once('.') {
        Some((hash, kind)) if hash.len() == 32 && hash.bytes().all(|it| it.is_ascii_hexdigit()) => kind,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_is_skipped() {
        assert!(is_skipped("6a14c1b7a1c14b7d9e6f0a1b2c3d82dc.invoice_taxes"));
        for refused in ["6a14c1b7a1c14b7d9e6f0a1b2c3d82dc.check_quantity_product", "invoice_taxes.done", "done", ""] {
            assert!(!is_skipped(refused), "{refused}");
        }
    }
}
