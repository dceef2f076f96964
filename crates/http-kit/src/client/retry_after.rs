use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use http::{HeaderMap, header};

/// Nobody is obeyed for longer: an answer that asks for a year is broken, or not on our side.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// The three forms of a date that RFC 9110 (5.6.7) wants to be read.
const DATE_FORMATS: [&str; 3] = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];

/// The wait that an answer asks for (RFC 9110, 10.2.3), at most [`RETRY_AFTER_MAX`]; a date in the past is no wait.
/// Seconds may have a fraction: Shopify sends `2.0`.
pub fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    seconds(value).or_else(|| until(value, now)).map(|wait| wait.min(RETRY_AFTER_MAX))
}

fn seconds(value: &str) -> Option<Duration> {
    if !value.starts_with(|it: char| it.is_ascii_digit()) {
        return None;
    }
    let seconds: f64 = value.parse().ok()?;
    Some(Duration::try_from_secs_f64(seconds).unwrap_or(RETRY_AFTER_MAX))
}

fn until(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    let date = DATE_FORMATS.iter().find_map(|format| NaiveDateTime::parse_from_str(value, format).ok())?.and_utc();
    Some((date - now).to_std().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: Option<u64>) {
        let now = DateTime::parse_from_rfc3339("1994-11-06T08:49:07Z").unwrap().to_utc();
        let headers = HeaderMap::from_iter([(header::RETRY_AFTER, value.parse().unwrap())]);
        assert_eq!(retry_after(&headers, now), expected.map(Duration::from_millis), "{value}");
    }

    #[test]
    fn both_forms_are_read_and_absurd_ones_capped() {
        check("0", Some(0));
        check("120", Some(120_000));
        check(" 2.5 ", Some(2_500));
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(30_000));
        check("Sunday, 06-Nov-94 08:49:37 GMT", Some(30_000));
        check("Sun Nov  6 08:49:37 1994", Some(30_000));
        check("Sun, 06 Nov 1994 08:00:00 GMT", Some(0));
        check("31536000", Some(3_600_000));
        check("99999999999999999999999999999999999999999999", Some(3_600_000));
        check("Fri, 31 Dec 9999 23:59:59 GMT", Some(3_600_000));
    }

    #[test]
    fn what_is_neither_is_no_wait_to_rely_on() {
        for value in ["", "-1", "soon", "inf", "NaN", "1s", "0x10", "Sun, 31 Feb 1994 08:49:37 GMT"] {
            check(value, None);
        }
        assert_eq!(retry_after(&HeaderMap::new(), Utc::now()), None);
    }
}
