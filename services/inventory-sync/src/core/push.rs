//! How a shop is brought to show what may be sold there.
//!
//! A shop lowers its own level at each order, at once; we hear of the order later. So a push says which level it replaces. What
//! we expect the shop to show is the level that it showed when we last knew, less what we have heard of since. If it shows
//! something else, the difference is either explained by orders that we know of, or by some that we don't, or somebody else
//! has set the level.
//!
//! What may be missing orders is kept back: the shop is set to what it shall show less so many. Whatever was taken off the level
//! before a look is known when we have heard all that was told until [a while](Heard::wait) after it. What was missing at the
//! look and has not come by then was no order. What is missing besides may be younger orders, and is waited for anew.

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
    /// The look that showed less than we can explain.
    pub doubt: Option<Doubt>,
}

/// A look at a level that was lower than all that we knew of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doubt {
    pub since: DateTime<Utc>,
    /// What web orders will have taken off the level when all that was missing has come.
    pub taken: Decimal,
}

/// How far we have heard, by the clock of the looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    pub now: DateTime<Utc>,
    /// Everything that shops had told by then is known. `None`: nobody can say, Kafka is away or a group is behind.
    pub until: Option<DateTime<Utc>>,
    /// What a shop may take to tell of an order.
    pub wait: Duration,
}

impl Heard {
    /// Whether all orders from before are known.
    fn is_past(&self, since: DateTime<Utc>) -> bool {
        self.until.is_some_and(|it| it >= self.due(since))
    }

    fn due(&self, since: DateTime<Utc>) -> DateTime<Utc> {
        since + TimeDelta::from_std(self.wait).unwrap_or(TimeDelta::days(1))
    }
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
    /// Orders may be missing: it is looked at again when some come, or then. So many pieces are kept back for them; `None`: nobody
    /// knows how many, as long as nobody knows what was set.
    Wait {
        doubt: Doubt,
        missing: Option<Decimal>,
        until: DateTime<Utc>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match {
    Explained,
    /// It shows so much less.
    Lower(Decimal),
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

    /// What it shall show while so many pieces may be in orders that we have not heard of.
    pub fn less(&self, missing: Decimal) -> i64 {
        let kept_back = i64::try_from(missing.ceil()).unwrap_or(i64::MAX);
        self.available.saturating_sub(kept_back).max(self.available.min(0))
    }

    /// What is pushed now, as the base of what comes after. Orders over so many pieces are off it already that we have yet to hear of.
    pub fn base_of(&self, level: i64, missing: Decimal) -> Base {
        Base { level, taken: self.taken + missing, given: self.given }
    }

    /// A level can agree with what was shown and with what was sent, less orders that we have not heard of: as long as one of
    /// them lets us wait for an order, we wait.
    pub fn judge(&self, level: i64, heard: &Heard) -> Judged {
        let matches: Vec<Match> = [self.shown, self.sent].into_iter().flatten().map(|it| self.compare(&it, level)).collect();
        let is_explained = matches.contains(&Match::Explained);
        let lower = |it: &Match| if let Match::Lower(missing) = it { Some(*missing) } else { None };
        if let Some(missing) = matches.iter().filter_map(lower).max()
            && let Some((doubt, missing)) = self.doubted(level, missing, &matches, heard)
        {
            // Where we have not heard that far, that is asked again.
            let due = heard.due(doubt.since);
            let until = if due > heard.now { due } else { heard.now + ASK_AGAIN };
            return Judged::Wait { doubt, missing, until };
        }
        // The first look explains itself.
        let drift = !matches.is_empty() && !is_explained;
        if level == self.available { Judged::Right { drift } } else { Judged::Push { expected: level, drift } }
    }

    /// What may still be orders, of so much that is missing now at most, and what of it is kept back. `None`: nothing may.
    fn doubted(&self, level: i64, missing: Decimal, matches: &[Match], heard: &Heard) -> Option<(Doubt, Option<Decimal>)> {
        let anew = |missing| Doubt { since: heard.now, taken: self.taken + missing };
        let certain = matches.iter().all(|it| *it == Match::Lower(missing)).then_some(missing);
        let Some(doubt) = self.doubt.filter(|it| it.taken > self.taken) else { return Some((anew(missing), certain)) };
        if !heard.is_past(doubt.since) {
            return Some((doubt, certain));
        }
        // Younger orders are no more than this, whatever was shown before.
        let younger = missing - (doubt.taken - self.taken);
        // The rest is written off by being put back.
        let is_put_back = !matches.contains(&Match::Explained) && self.less(younger) != level;
        (younger > Decimal::ZERO).then(|| if is_put_back { (anew(younger), Some(younger)) } else { (anew(missing), None) })
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
            _ if drop > taken => Match::Lower(drop - taken),
            _ if drop < least => Match::Higher,
            _ => Match::Explained,
        }
    }
}

const ASK_AGAIN: TimeDelta = TimeDelta::seconds(5);

/// Shops count in whole units.
fn whole(value: Decimal) -> Option<i64> {
    if value.is_integer() { i64::try_from(value).ok() } else { None }
}
