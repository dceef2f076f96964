use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use connector::erp::Cursor;
use fault::{Class, Fault};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Moved;
use crate::wire;

/// Where the look at changed moves stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// The newest stamp that was read.
    high: DateTime<Utc>,
    /// Inside a burst: the last move of the page before. The next page goes on behind it.
    #[serde(default)]
    behind: Option<(DateTime<Utc>, i64)>,
    /// Moves within the overlap before `high`, with the microseconds of the stamp that was seen.
    #[serde(default)]
    seen: BTreeMap<i64, i64>,
}

impl Position {
    pub(super) fn starting(now: DateTime<Utc>) -> Self {
        Self { high: now, behind: None, seen: BTreeMap::new() }
    }

    pub(super) fn of(cursor: &Cursor) -> Result<Self, Fault> {
        let position = serde_json::from_value(cursor.0.clone());
        position.map_err(|error| {
            Fault::new(Class::Schema, "erp_cursor", "the stored stock cursor is not one of Tryton's; delete it to start anew")
                .with_source(error)
        })
    }

    pub(super) fn cursor(&self) -> Cursor {
        Cursor(serde_json::to_value(self).expect("a position is plain data"))
    }

    /// Moves to look at: everything since the overlap began, or what follows the page before.
    pub(super) fn domain(&self, overlap: Duration) -> Value {
        let goods = json!(["product.type", "=", "goods"]);
        match self.behind {
            None => json!([goods, ["last_modified_at", ">=", wire::datetime(self.high - delta(overlap))]]),
            Some((at, id)) => {
                let stamp = wire::datetime(at);
                json!([goods, ["OR", ["last_modified_at", ">", stamp], [["last_modified_at", "=", stamp], ["id", ">", id]]]])
            }
        }
    }

    /// The moves that are new, and the position behind them. `now`: by the server's clock.
    pub(super) fn advance(mut self, moves: Vec<Moved>, more: bool, now: DateTime<Utc>, overlap: Duration) -> (Vec<Moved>, Self) {
        let last = moves.last().map(|it| (it.last_modified_at, it.id));
        let mut fresh = Vec::new();
        for it in moves {
            if self.seen.insert(it.id, it.last_modified_at.timestamp_micros()) != Some(it.last_modified_at.timestamp_micros()) {
                fresh.push(it);
            }
        }
        // A clock that was ahead once does not hide what changes until then.
        self.high = last.map_or(self.high, |(at, _)| self.high.max(at)).min(now);
        self.behind = if more { last } else { None };
        let from = (self.high - delta(overlap)).timestamp_micros();
        self.seen.retain(|_, stamp| *stamp >= from);
        (fresh, self)
    }
}

fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::days(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Coded;

    const OVERLAP: Duration = Duration::from_secs(120);

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn moved(id: i64, seconds: i64) -> Moved {
        Moved { id, product: Coded { id: 4, code: Some("MUG".to_owned()) }, last_modified_at: at(seconds) }
    }

    fn ids(moves: &[Moved]) -> Vec<i64> {
        moves.iter().map(|it| it.id).collect()
    }

    #[test]
    fn a_late_row_is_found_and_an_old_one_is_no_news() {
        let (fresh, position) = Position::starting(at(0)).advance(vec![moved(1, 5), moved(2, 9)], false, at(1_000), OVERLAP);
        assert_eq!(ids(&fresh), [1, 2]);
        // Its transaction began before what we have seen, and ended later.
        let (fresh, position) = position.advance(vec![moved(1, 5), moved(3, 7), moved(2, 9)], false, at(1_000), OVERLAP);
        assert_eq!(ids(&fresh), [3]);
        let (fresh, _) = position.advance(vec![moved(1, 5), moved(3, 7), moved(2, 11)], false, at(1_000), OVERLAP);
        assert_eq!(ids(&fresh), [2], "changed again");
    }

    #[test]
    fn a_burst_of_one_stamp_is_paged_by_id() {
        let (_, position) = Position::starting(at(0)).advance(vec![moved(1, 5), moved(2, 5)], true, at(1_000), OVERLAP);
        assert_eq!(position.domain(OVERLAP)[1][2][1], json!(["id", ">", 2]));
        let (fresh, position) = position.advance(vec![moved(3, 5)], false, at(1_000), OVERLAP);
        assert_eq!(ids(&fresh), [3]);
        assert_eq!(position.domain(OVERLAP)[1][2], wire::datetime(at(5 - 120)));
    }

    #[test]
    fn a_stamp_from_the_future_hides_nothing_and_is_no_news_twice() {
        let (_, position) = Position::starting(at(0)).advance(vec![moved(1, 5), moved(2, 9_000)], false, at(126), OVERLAP);
        assert_eq!(position.domain(OVERLAP)[1], json!(["last_modified_at", ">=", wire::datetime(at(6))]));
        let (fresh, _) = position.advance(vec![moved(3, 130), moved(2, 9_000)], false, at(131), OVERLAP);
        assert_eq!(ids(&fresh), [3]);
    }

    #[test]
    fn what_lies_before_the_overlap_is_forgotten() {
        let (_, position) = Position::starting(at(0)).advance(vec![moved(1, 5), moved(2, 500)], false, at(1_000), OVERLAP);
        assert_eq!(position.seen.keys().copied().collect::<Vec<_>>(), [2]);
        assert_eq!(Position::of(&position.cursor()).unwrap(), position);
        assert_eq!(Position::of(&Cursor(json!({"since": 1}))).unwrap_err().code, "erp_cursor");
    }
}
