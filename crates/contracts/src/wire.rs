//! Between wire and domain. Whatever is encoded can be decoded to the same value; whatever is decoded and not understood says
//! which field it was.

mod change;
mod command;
mod common;
mod customer;
mod order;
mod outcome;
mod refund;
mod stock;
mod verbatim;

pub use change::{Change, ChangeKind, Changed, Entity, changed_paths, entity_hash};
pub use outcome::{Failure, Outcome, OutcomeState, Reference, UNPLACED};
pub use verbatim::{Originals, encode_with, entity_of};

use fault::{Class, Classify};

/// A message that can't be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("the bytes are no {message}: {what}")]
    Decode { message: &'static str, what: String },
    #[error("{message} has no {field}")]
    Missing { message: &'static str, field: &'static str },
    /// A newer writer's value. Falling back to a default would be a guess.
    #[error("{message}.{field} has the value {value}, which this version does not know")]
    Unknown { message: &'static str, field: &'static str, value: String },
    #[error("{message}.{field} is not usable: {what}")]
    Value { message: &'static str, field: &'static str, what: String },
}

impl Classify for WireError {
    fn class(&self) -> Class {
        match self {
            Self::Decode { .. } => Class::Decode,
            Self::Missing { .. } | Self::Unknown { .. } | Self::Value { .. } => Class::Schema,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Decode { .. } => "wire_decode",
            Self::Missing { .. } => "wire_missing_field",
            Self::Unknown { .. } => "wire_unknown_value",
            Self::Value { .. } => "wire_bad_value",
        }
    }
}

/// A domain value that has a message.
pub trait Wire: Sized {
    type Message: prost::Message + Default;

    /// The message's full name, as in `ce_type`.
    const NAME: &'static str;

    fn to_wire(&self) -> Self::Message;
    fn from_wire(message: Self::Message) -> Result<Self, WireError>;

    fn encode(&self) -> bytes::Bytes {
        prost::Message::encode_to_vec(&self.to_wire()).into()
    }

    fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let message = <Self::Message as prost::Message>::decode(bytes)
            .map_err(|error| WireError::Decode { message: Self::NAME, what: error.to_string() })?;
        Self::from_wire(message)
    }
}

/// `message.field` or the error that it is missing.
fn required<T>(value: Option<T>, message: &'static str, field: &'static str) -> Result<T, WireError> {
    value.ok_or(WireError::Missing { message, field })
}

fn bad(message: &'static str, field: &'static str, what: impl ToString) -> WireError {
    WireError::Value { message, field, what: what.to_string() }
}

/// The two directions of an enum as one table, so that they can't differ.
macro_rules! enum_table {
    ($to:ident, $from:ident, $domain:ty, $wire:ty, $message:literal, $field:literal, { $($left:ident <=> $right:ident),+ $(,)? }) => {
        pub(super) fn $to(value: $domain) -> i32 {
            match value { $(<$domain>::$left => <$wire>::$right as i32),+ }
        }

        pub(super) fn $from(value: i32) -> Result<$domain, super::WireError> {
            match <$wire>::try_from(value) {
                $(Ok(<$wire>::$right) => Ok(<$domain>::$left),)+
                _ => Err(super::WireError::Unknown { message: $message, field: $field, value: value.to_string() }),
            }
        }
    };
}

/// The same for enums that are text on the wire.
macro_rules! text_table {
    ($to:ident, $from:ident, $domain:ty, $message:literal, $field:literal, { $($left:ident <=> $right:literal),+ $(,)? }) => {
        pub(super) fn $to(value: $domain) -> String {
            match value { $(<$domain>::$left => $right),+ }.to_owned()
        }

        pub(super) fn $from(value: &str) -> Result<$domain, super::WireError> {
            match value {
                $($right => Ok(<$domain>::$left),)+
                _ => Err(super::WireError::Unknown { message: $message, field: $field, value: value.to_owned() }),
            }
        }
    };
}

use {enum_table, text_table};

#[cfg(test)]
mod tests;
