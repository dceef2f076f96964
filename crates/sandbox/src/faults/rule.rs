//! One fault and the requests that it hits.

use std::time::Duration;

use chrono::{SubsecRound, Utc};
use serde::{Deserialize, Serialize};

/// What is done to a request instead of, or besides, answering it well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// An answer of this status: 500, 502, 503, 429, 401, ...
    Status {
        status: u16,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<RetryAfter>,
    },
    /// The connection is reset when the headers are read; the body never is. Only the path is known by then.
    ResetEarly,
    /// The connection is reset instead of answering.
    Reset,
    /// The connection is closed in good order instead of answering, as by a server whose patience with it just ended.
    HangUp,
    /// No answer, on an open connection.
    Silence,
    /// The good answer, one byte per interval from its first header on.
    Drip { interval_ms: u64 },
    /// The good answer's headers at once, its body one byte per interval.
    DripBody { interval_ms: u64 },
    /// A body that never ends.
    Endless,
    /// The good answer under another content type.
    ContentType { value: String },
    /// 200 with the HTML of a login page, as a proxy in front may send.
    LoginPage,
    /// Half of the good body, declared as if it were all.
    HalfBody,
    /// Half of the good body, then the connection is reset.
    CutOff,
    /// The good answer with a byte in it that is not UTF-8.
    InvalidUtf8,
    /// The good answer as an object that has its first key twice.
    DuplicateKeys,
    /// To another host.
    Redirect { status: u16, location: String },
    /// The good answer, later.
    Delay { by_ms: u64 },
}

/// The `Retry-After` header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    Seconds(u64),
    /// As an HTTP date this many seconds ahead.
    DateIn(i64),
    /// Whatever a careless server may write.
    Text(String),
}

impl RetryAfter {
    pub fn header(&self) -> String {
        match self {
            Self::Seconds(seconds) => seconds.to_string(),
            Self::DateIn(seconds) => {
                let date = (Utc::now() + chrono::Duration::seconds(*seconds)).trunc_subsecs(0);
                date.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
            }
            Self::Text(text) => text.clone(),
        }
    }
}

impl Fault {
    pub fn status(status: u16) -> Self {
        Self::Status { status, retry_after: None }
    }

    pub fn retry_later(status: u16, retry_after: RetryAfter) -> Self {
        Self::Status { status, retry_after: Some(retry_after) }
    }

    /// Needs the good answer, so the request is carried out whatever the rule says.
    pub fn needs_answer(&self) -> bool {
        match self {
            Self::Drip { .. }
            | Self::DripBody { .. }
            | Self::ContentType { .. }
            | Self::HalfBody
            | Self::CutOff
            | Self::InvalidUtf8
            | Self::DuplicateKeys
            | Self::Delay { .. } => true,
            Self::Status { .. }
            | Self::ResetEarly
            | Self::Reset
            | Self::HangUp
            | Self::Silence
            | Self::Endless
            | Self::LoginPage
            | Self::Redirect { .. } => false,
        }
    }

    /// For the log.
    pub fn name(&self) -> String {
        match self {
            Self::Status { status, .. } => format!("status {status}"),
            Self::ResetEarly => "reset_early".to_owned(),
            Self::Reset => "reset".to_owned(),
            Self::HangUp => "hang_up".to_owned(),
            Self::Silence => "silence".to_owned(),
            Self::Drip { .. } => "drip".to_owned(),
            Self::DripBody { .. } => "drip_body".to_owned(),
            Self::Endless => "endless".to_owned(),
            Self::ContentType { .. } => "content_type".to_owned(),
            Self::LoginPage => "login_page".to_owned(),
            Self::HalfBody => "half_body".to_owned(),
            Self::CutOff => "cut_off".to_owned(),
            Self::InvalidUtf8 => "invalid_utf8".to_owned(),
            Self::DuplicateKeys => "duplicate_keys".to_owned(),
            Self::Redirect { status, .. } => format!("redirect {status}"),
            Self::Delay { .. } => "delay".to_owned(),
        }
    }
}

/// A fault with the requests that it hits; by default the next one, whatever it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    #[serde(flatten)]
    pub fault: Fault,
    /// The request is carried out first: "apply, then time out".
    #[serde(default)]
    pub apply: bool,
    /// The operation, with `*` for any text: `model.sale.sale.*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// What it is about: a `web_id`, an item. This one only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Matching requests that pass before the first one is hit.
    #[serde(default)]
    pub skip: u64,
    /// How many are hit; `None` = all that match.
    #[serde(default = "once")]
    pub times: Option<u64>,
    /// Begins so long after it was set.
    #[serde(default)]
    pub after_ms: u64,
    /// Ends so long after it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
    /// Hits only this share of what matches, from 0 to 1, by the plan's seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
}

#[expect(clippy::unnecessary_wraps, reason = "serde needs the field's own type")]
fn once() -> Option<u64> {
    Some(1)
}

impl Rule {
    pub fn new(fault: Fault) -> Self {
        Self { fault, apply: false, operation: None, subject: None, skip: 0, times: once(), after_ms: 0, for_ms: None, share: None }
    }

    /// Carries the request out before the fault.
    pub fn applied(mut self) -> Self {
        self.apply = true;
        self
    }

    pub fn on(mut self, operation: impl Into<String>) -> Self {
        self.operation = Some(operation.into());
        self
    }

    pub fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Only the `n`th match, from 1.
    pub fn nth(mut self, n: u64) -> Self {
        self.skip = n.saturating_sub(1);
        self.times(1)
    }

    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Until the rule is taken away or its time is over.
    pub fn always(mut self) -> Self {
        self.times = None;
        self
    }

    pub fn after(mut self, wait: Duration) -> Self {
        self.after_ms = millis(wait);
        self
    }

    pub fn lasting(mut self, time: Duration) -> Self {
        self.for_ms = Some(millis(time));
        self
    }

    pub fn share(mut self, share: f64) -> Self {
        self.share = Some(share);
        self
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_written_in_json_with_its_defaults() {
        let rule: Rule = serde_json::from_str(r#"{"fault":"silence"}"#).unwrap();
        assert_eq!(rule, Rule::new(Fault::Silence));
        let rule: Rule = serde_json::from_str(
            r#"{"fault":"status","status":503,"retry_after":{"seconds":7},"apply":true,"operation":"model.*","times":null}"#,
        )
        .unwrap();
        let same = Rule::new(Fault::retry_later(503, RetryAfter::Seconds(7))).applied().on("model.*").always();
        assert_eq!(rule, same);
        assert_eq!(serde_json::from_value::<Rule>(serde_json::to_value(&same).unwrap()).unwrap(), same);
    }

    #[test]
    fn a_date_to_come_back_is_an_http_date() {
        let header = RetryAfter::DateIn(120).header();
        let date = chrono::NaiveDateTime::parse_from_str(&header, "%a, %d %b %Y %H:%M:%S GMT").unwrap();
        let wait = date.and_utc() - Utc::now();
        assert!((118..=120).contains(&wait.num_seconds()), "{header}");
    }
}
