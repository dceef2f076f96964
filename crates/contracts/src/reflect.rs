//! Any of our messages by name, as JSON for people. Fields that hold personal data show as `***` unless asked for.

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage as _, Value};

/// Why a value can't be shown as JSON.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{0}` is no message of this version")]
    UnknownType(String),
    #[error("the bytes are no {message}")]
    Decode {
        message: String,
        #[source]
        source: prost::DecodeError,
    },
}

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(crate::proto::DESCRIPTORS).expect("the build embeds a valid descriptor set"));

/// `message`: the full name, as in `ce_type`.
pub fn to_json(message: &str, bytes: &[u8], with_personal: bool) -> Result<serde_json::Value, Error> {
    let descriptor = POOL.get_message_by_name(message).ok_or_else(|| Error::UnknownType(message.to_owned()))?;
    let mut decoded = DynamicMessage::decode(descriptor, bytes).map_err(|source| Error::Decode { message: message.to_owned(), source })?;
    if !with_personal {
        redact(&mut decoded);
    }
    Ok(serde_json::to_value(&decoded).expect("a decoded message has a JSON form"))
}

/// Names of the top-level fields in which two encoded messages differ, by field number. Bytes that are no message differ in
/// nothing that could be named.
pub fn changed_fields(message: &str, before: &[u8], after: &[u8]) -> Vec<String> {
    let Some(descriptor) = POOL.get_message_by_name(message) else { return Vec::new() };
    let decode = |bytes| DynamicMessage::decode(descriptor.clone(), bytes);
    let (Ok(before), Ok(after)) = (decode(before), decode(after)) else { return Vec::new() };
    let differs = |field: &prost_reflect::FieldDescriptor| before.get_field(field) != after.get_field(field);
    descriptor.fields().filter(differs).map(|field| field.name().to_owned()).collect()
}

fn redact(message: &mut DynamicMessage) {
    let personal = POOL.get_extension_by_name("tradewind.common.v1.personal").expect("the option is ours");
    for field in message.descriptor().fields() {
        if !message.has_field(&field) {
            continue;
        }
        let is_personal = field.options().get_extension(&personal).as_bool() == Some(true);
        match message.get_field_mut(&field) {
            value if is_personal => *value = redacted(value),
            Value::Message(inner) => redact(inner),
            Value::List(values) => values.iter_mut().for_each(|it| {
                if let Value::Message(inner) = it {
                    redact(inner);
                }
            }),
            _ => {}
        }
    }
}

/// Text becomes `***`; whatever else is tagged is emptied.
fn redacted(value: &Value) -> Value {
    match value {
        Value::String(_) => Value::String("***".to_owned()),
        Value::List(values) => Value::List(values.iter().map(redacted).collect()),
        Value::Bytes(_) => Value::Bytes(bytes::Bytes::new()),
        Value::Message(message) => Value::Message(DynamicMessage::new(message.descriptor())),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::proto::customers::v1::{Customer, CustomerChanged};

    #[test]
    fn personal_data_is_hidden_by_its_tag_and_nothing_else_is() {
        let customer =
            Customer { id: "7".to_owned(), email: "ada@example.com".to_owned(), tags: vec!["vip".to_owned()], ..Customer::default() };
        let bytes = CustomerChanged { change: None, customer: Some(customer) }.encode_to_vec();
        let name = "tradewind.customers.v1.CustomerChanged";
        let hidden = to_json(name, &bytes, false).unwrap();
        assert_eq!(hidden["customer"]["email"], "***");
        assert_eq!(hidden["customer"]["id"], "7");
        assert_eq!(hidden["customer"]["tags"][0], "vip");
        assert_eq!(to_json(name, &bytes, true).unwrap()["customer"]["email"], "ada@example.com");
    }

    #[test]
    fn what_is_no_message_of_ours_is_an_error() {
        assert!(matches!(to_json("tradewind.v9.Nothing", b"", false), Err(Error::UnknownType(_))));
        assert!(matches!(to_json("tradewind.orders.v1.OrderChanged", b"\x0a\xff", false), Err(Error::Decode { .. })));
    }
}
