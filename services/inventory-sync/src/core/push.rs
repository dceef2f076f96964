//! How a shop is brought to show what may be sold there.
//!
//! A shop lowers its own level at each order, at once; we hear of the order later. So a push says which level it replaces. What
//! we expect the shop to show is the level that it showed when we last knew, less what we have heard of since. If it shows
//! something else, the difference is either explained by orders that we know of, or by one that we don't, or somebody else
//! has set the level.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::Decimal;

/// A level, and the sum of what web orders had taken off it and what may have been put back by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    pub level: i64,
    pub taken: Decimal,
    pub given: Decimal,
}

/// What is known of one level of a shop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shelf {
    /// What it shall show.
    pub available: i64,
    pub taken: Decimal,
    pub given: Decimal,
    /// What it showed. `None`: we never looked.
    pub shown: Option<Base>,
    /// What was sent to it, while nobody knows whether it was set.
    pub sent: Option<Base>,
    /// The last push was refused because it shows something else.
    pub stale: bool,
    /// The shop has no other location: all its orders are taken off this level.
    pub sole: bool,
    /// Since when it shows less than we can explain.
    pub drift_since: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// Nobody can say what it shows.
    Look,
    Push {
        expected: i64,
    },
}

/// What to do about a level that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// It shows what it shall show.
    Right {
        drift: bool,
    },
    Push {
        expected: i64,
        drift: bool,
    },
    /// An order may be missing: look again when it has come, or then.
    Wait {
        since: DateTime<Utc>,
        until: DateTime<Utc>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match {
    Explained,
    /// It shows less.
    Lower,
    /// It shows more, which no missing order can explain.
    Higher,
}

impl Shelf {
    pub fn plan(&self) -> Plan {
        match (self.shown, self.sent) {
            (Some(base), None) if !self.stale => self.believed(&base).map_or(Plan::Look, |expected| Plan::Push { expected }),
            _ => Plan::Look,
        }
    }

    /// What is pushed now, as the base of what comes after.
    pub fn base_of(&self, level: i64) -> Base {
        Base { level, taken: self.taken, given: self.given }
    }

    /// A level can agree with what was shown and with what was sent, less orders that we have not heard of: as long as one of
    /// them lets us wait for an order, we wait.
    pub fn judge(&self, level: i64, now: DateTime<Utc>, wait: Duration) -> Judged {
        let matches: Vec<Match> = [self.shown, self.sent].into_iter().flatten().map(|it| self.compare(&it, level)).collect();
        // The first look explains itself.
        let drift = !matches.is_empty() && !matches.contains(&Match::Explained);
        let since = self.drift_since.unwrap_or(now);
        let until = since + TimeDelta::from_std(wait).unwrap_or(TimeDelta::days(1));
        if matches.contains(&Match::Lower) && now < until {
            Judged::Wait { since, until }
        } else if level == self.available {
            Judged::Right { drift }
        } else {
            Judged::Push { expected: level, drift }
        }
    }

    /// The level that the shop shows if nothing happened but what we know. `None`: several are as likely.
    fn believed(&self, base: &Base) -> Option<i64> {
        let (taken, given) = (self.taken - base.taken, self.given - base.given);
        let is_certain = self.sole || (taken.is_zero() && given.is_zero());
        if is_certain { whole(Decimal::from(base.level) - taken + given) } else { None }
    }

    /// Goods that were taken back may or may not have been put back on the shelf; orders of a shop with several locations may
    /// have been taken off another.
    fn compare(&self, base: &Base, level: i64) -> Match {
        let (taken, given) = (self.taken - base.taken, self.given - base.given);
        let drop = Decimal::from(base.level) - Decimal::from(level);
        let least = if self.sole { taken - given } else { -given };
        match drop {
            _ if drop > taken => Match::Lower,
            _ if drop < least => Match::Higher,
            _ => Match::Explained,
        }
    }
}

/// Shops count in whole units.
fn whole(value: Decimal) -> Option<i64> {
    if value.is_integer() { i64::try_from(value).ok() } else { None }
}
