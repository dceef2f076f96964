//! Bytes to wire types. When that fails, a second and slower reading finds out where; the message says what was expected
//! there and nothing of what stood there.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::error::MappingError;

/// An order of thousands of lines has fewer. In memory an object takes a hundred times what `{}` takes in a body: without a limit
/// the largest body that the door lets in would take a gigabyte.
const OBJECTS_MAX: usize = 100_000;

pub(crate) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, MappingError> {
    if body.iter().filter(|it| **it == b'{').count() > OBJECTS_MAX {
        return Err(MappingError::shape("", "at most 100000 objects in one body"));
    }
    serde_json::from_slice(body).map_err(|_| explain::<T>(body))
}

fn is_json(body: &[u8]) -> bool {
    // What is skipped is not looked at for its encoding; JSON is UTF-8.
    std::str::from_utf8(body).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

#[cold]
fn explain<'a, T: Deserialize<'a>>(body: &'a [u8]) -> MappingError {
    if !is_json(body) {
        return MappingError::NotJson;
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    match serde_path_to_error::deserialize::<_, T>(&mut reader) {
        Ok(_) => MappingError::shape("", "one JSON value"),
        Err(error) => MappingError::shape(error.path().to_string(), &expected(&error.inner().to_string())),
    }
}

/// serde says `invalid type: <what stood there>, expected <what we want> at line 1 column 2`. What stood there may be a name or
/// an address. What we want is always ours, and never contains a comma followed by `expected`.
pub(crate) fn expected(message: &str) -> String {
    let message = message.rsplit_once(" at line ").map_or(message, |(head, _)| head);
    if let Some((_, expected)) = message.rsplit_once(", expected ") {
        return expected.to_owned();
    }
    match message.strip_prefix("missing field ") {
        Some(field) => format!("a field {field}"),
        None => "another form".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Order;

    fn check(body: &str, expected: &str) {
        assert_eq!(parse::<Order>(body.as_bytes()).unwrap_err().to_string(), expected, "{body}");
    }

    #[test]
    fn the_place_is_named_and_what_stood_there_is_not() {
        check(r#"{"id":"ada@example.com"}"#, "`id`: expected a whole 64-bit id");
        check(r#"{"email":["ada@example.com, expected nothing"]}"#, "`email`: expected text");
        check(
            r#"{"line_items":[{"id":1},{"price":"12,50"}]}"#,
            "`line_items[1].price`: expected a decimal amount of at most 28 digits, 18 of them before the point",
        );
        check(
            r#"{"total_price_set":{"shop_money":{"amount":"1.00","currency_code":"ADA"}}}"#,
            "`total_price_set.shop_money.currency_code`: expected an ISO 4217 currency code",
        );
        check(r#"{"total_price_set":{"shop_money":{"amount":"1.00"}}}"#, "`total_price_set.shop_money`: expected a field `currency_code`");
        check(r#"{"updated_at":"yesterday"}"#, "`updated_at`: expected a time like 2026-01-31T12:00:00+01:00");
    }

    #[test]
    fn a_body_that_is_all_braces_takes_no_memory() {
        let body = |lines: usize| format!("{{\"line_items\":[{}]}}", vec!["{}"; lines].join(","));
        check(&body(OBJECTS_MAX), "expected at most 100000 objects in one body");
        assert!(parse::<Order>(body(OBJECTS_MAX - 1).as_bytes()).is_ok_and(|it| it.line_items.len() == OBJECTS_MAX - 1));
    }

    #[test]
    fn what_is_not_json_is_said_to_be_none() {
        for body in ["", "{", r#"{"id":"ada", oops}"#, "<html></html>", "{} {}", "webhook_id=7"] {
            check(body, "the body is not JSON");
        }
        assert!(matches!(parse::<Order>(b"{\"note\":\"\xff\"}"), Err(MappingError::NotJson)));
        check("17", "expected struct Order");
    }
}
