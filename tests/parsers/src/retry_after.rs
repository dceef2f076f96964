//! `Retry-After` of an answer. The input is the header's value.

use chrono::DateTime;
use http::{HeaderMap, HeaderValue, header};
use http_kit::client::{RETRY_AFTER_MAX, retry_after};

/// Nobody makes us wait for longer than the cap, and the same answer asks for the same wait.
pub fn check(input: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(input) else { return };
    let headers = HeaderMap::from_iter([(header::RETRY_AFTER, value)]);
    for second in [0, 784_111_777, 4_102_444_800] {
        let now = DateTime::from_timestamp(second, 0).expect("a second of our time");
        let wait = retry_after(&headers, now);
        assert!(wait.is_none_or(|it| it <= RETRY_AFTER_MAX), "{wait:?}");
        assert_eq!(wait, retry_after(&headers, now));
    }
}
