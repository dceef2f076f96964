//! Which part of the account is asked for, and where a page of it begins.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use uuid::Uuid;

use super::{Item, Line};

/// What is asked for; what is not said is not minded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// What was taken on at this moment or later,
    pub since: Option<DateTime<Utc>>,
    /// and before this one.
    pub until: Option<DateTime<Utc>>,
    pub source: Option<String>,
    pub kind: Option<String>,
    pub group: Option<String>,
    /// As in [`Line`].
    pub state: Option<String>,
}

impl Part {
    pub fn is_window(&self) -> bool {
        self.since.is_some() || self.until.is_some()
    }

    /// Whether a line is of it, its time apart.
    pub(super) fn has(&self, line: &Line) -> bool {
        let wants = |wanted: &Option<String>, it: &str| wanted.as_ref().is_none_or(|wanted| wanted == it);
        wants(&self.source, &line.source)
            && wants(&self.kind, &line.kind)
            && wants(&self.group, &line.group)
            && wants(&self.state, &line.state)
    }
}

/// The last obligation of a page. Its text is for whoever asks for the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub(super) taken_at: DateTime<Utc>,
    pub(super) event_id: Uuid,
    pub(super) group: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no place in a list: give back what `next` said")]
pub struct CursorError(String);

impl Cursor {
    pub(super) fn of(item: &Item) -> Self {
        Self { taken_at: item.taken_at, event_id: item.event_id, group: item.group.clone() }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.taken_at.to_rfc3339_opts(SecondsFormat::Micros, true), self.event_id, self.group)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let read = || {
            let mut parts = text.splitn(3, '/');
            let taken_at = DateTime::parse_from_rfc3339(parts.next()?).ok()?.to_utc();
            Some(Self { taken_at, event_id: parts.next()?.parse().ok()?, group: parts.next()?.to_owned() })
        };
        read().ok_or_else(|| CursorError(text.to_owned()))
    }
}

impl serde::Serialize for Cursor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_a_list_comes_back_as_it_went() {
        let cursor = Cursor {
            taken_at: DateTime::from_timestamp_micros(1_790_000_000_123_456).unwrap(),
            event_id: Uuid::from_u128(7),
            group: "erp-adapter-erp/main".to_owned(),
        };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for bad in ["", "7", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z/x/mapper", "yesterday/00000000-0000-0000-0000-000000000007/a"] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }
}
