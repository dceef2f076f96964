//! What a sweep, a scan or a backfill makes of a page: which of what is listed has to be read, and how far the listing has come.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use connector::storefront::Listed;

/// Who found a change that nobody told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FoundBy {
    /// The frequent look at what changed lately.
    Sweep,
    /// The rare comparison of everything.
    Scan,
    /// Somebody asked for the past.
    Backfill,
}

impl FoundBy {
    pub const ALL: [Self; 3] = [Self::Sweep, Self::Scan, Self::Backfill];

    /// As in the header, the tables and the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sweep => "sweep",
            Self::Scan => "scan",
            Self::Backfill => "backfill",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

/// An order of ours for a listed version that is not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    pub updated_at: DateTime<Utc>,
    pub age: Duration,
    /// How often it was ordered.
    pub orders: i32,
    /// What was read of it, or told of it, is a letter: a person has to act, and one more would not help.
    pub is_letter: bool,
}

/// What is known of a listed entity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts {
    /// The source's time of the last version that was accepted; of one that is gone, when that was found.
    pub known: Option<DateTime<Utc>>,
    /// When the source showed it.
    pub seen_at: Option<DateTime<Utc>>,
    pub sighting: Option<Sighting>,
}

/// Whether a listed version has to be read. One that is known costs nothing, and one that was ordered is not ordered again:
/// unless it still is not known long after, because the source's answer was older than its listing.
pub fn is_wanted(listed: &Listed, facts: &Facts) -> bool {
    if facts.known.is_some_and(|known| known >= listed.updated_at) {
        return false;
    }
    match &facts.sighting {
        Some(it) if it.updated_at >= listed.updated_at => it.age >= ORDERED_AGAIN && it.orders < ORDERS_MAX && !it.is_letter,
        Some(_) | None => true,
    }
}

/// Whether a listed version is known and may yet be another than the one that we know: sources name versions by the second, and
/// ours was seen within that second, or soon after it by a clock that is not theirs. Read once more later, it is certain.
pub fn is_uncertain(listed: &Listed, facts: &Facts) -> bool {
    let is_early = |seen_at: DateTime<Utc>| seen_at < listed.updated_at + CERTAIN_AFTER;
    facts.known == Some(listed.updated_at) && facts.seen_at.is_some_and(is_early)
}

/// Those of a page that have to be read, each once, in its newest version.
pub fn wanted<'a>(page: &'a [Listed], facts: &HashMap<String, Facts>) -> Vec<&'a Listed> {
    let mut newest: HashMap<&str, &Listed> = HashMap::new();
    for it in page {
        let before = newest.entry(&it.id).or_insert(it);
        if it.updated_at > before.updated_at {
            *before = it;
        }
    }
    let mut wanted: Vec<_> = newest.into_values().filter(|it| is_wanted(it, facts.get(&it.id).unwrap_or(&Facts::default()))).collect();
    // In one order for all who lock.
    wanted.sort_by(|a, b| a.id.cmp(&b.id));
    wanted
}

/// Those of a page that are not known yet and were ordered before, by whomever.
pub fn ordered<'a>(page: &'a [Listed], facts: &HashMap<String, Facts>) -> Vec<&'a str> {
    let is_ordered = |it: &&Listed| {
        let is_unknown = |facts: &Facts| facts.sighting.is_some() && facts.known.is_none_or(|known| known < it.updated_at);
        facts.get(&it.id).is_some_and(is_unknown)
    };
    let mut ids: Vec<&str> = page.iter().filter(is_ordered).map(|it| it.id.as_str()).collect();
    // In one order for all who lock.
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// A second, and what clocks may differ by.
const CERTAIN_AFTER: TimeDelta = TimeDelta::seconds(5);

/// Where a sweep begins: before what was listed last. A source may show a change later than another one that came after it.
pub fn start(position: DateTime<Utc>, overlap: Duration) -> DateTime<Utc> {
    let overlap = TimeDelta::from_std(overlap).unwrap_or(TimeDelta::MAX);
    position.checked_sub_signed(overlap).unwrap_or(DateTime::UNIX_EPOCH)
}

/// How far the source's time is listed after a page. Never backwards, and never by a clock of ours: a page without anything
/// moves nothing. Of the last time there may be more on the next page; whoever begins again begins with that time itself. While
/// there are more pages, only up to the first of this one: an index that is behind may list what has changed since among what is older.
pub fn advanced(position: DateTime<Utc>, page: &[Listed], is_last: bool) -> DateTime<Utc> {
    let times = page.iter().map(|it| it.updated_at);
    let came_to = if is_last { times.max() } else { times.min() };
    came_to.map_or(position, |it| it.max(position))
}

/// Whether work that can wait may order a page more: live traffic has the shop's budget first.
pub fn may_go_on(waiting: i64, waiting_max: i64, spare: Option<f64>, reserve: f64) -> bool {
    waiting < waiting_max && has_room(spare, reserve)
}

/// Whether a platform's budget has more left than is reserved for live traffic. One that says nothing of it has.
pub fn has_room(spare: Option<f64>, reserve: f64) -> bool {
    spare.is_none_or(|spare| spare >= reserve)
}

/// A time from `interval` of which up to a tenth more or less: instances and connections must not march in step. `share`: from 0
/// to 1, drawn.
pub fn jittered(interval: Duration, share: f64) -> Duration {
    interval.mul_f64(0.9 + 0.2 * share)
}

/// Whether webhooks are broken: none came for long, and a sweep found since the last one that something had happened.
pub fn is_silent(age: Duration, silence: Duration, found_ago: Option<Duration>) -> bool {
    age >= silence && found_ago.is_some_and(|ago| ago < age)
}

/// Of a version that was read and still is not known.
const ORDERED_AGAIN: Duration = Duration::from_secs(3600);
const ORDERS_MAX: i32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + seconds, 0).unwrap()
    }

    fn listed(id: &str, seconds: i64) -> Listed {
        Listed { id: id.to_owned(), updated_at: at(seconds) }
    }

    fn known(seconds: i64) -> Facts {
        Facts { known: Some(at(seconds)), ..Facts::default() }
    }

    fn sighted(seconds: i64, age: u64, orders: i32, is_letter: bool) -> Facts {
        let sighting = Sighting { updated_at: at(seconds), age: Duration::from_secs(age), orders, is_letter };
        Facts { sighting: Some(sighting), ..Facts::default() }
    }

    #[test]
    fn what_is_known_at_that_version_costs_nothing() {
        assert!(is_wanted(&listed("1", 5), &Facts::default()), "unknown");
        assert!(is_wanted(&listed("1", 5), &known(4)), "an older version is known");
        assert!(!is_wanted(&listed("1", 5), &known(5)));
        assert!(!is_wanted(&listed("1", 5), &known(6)), "a later one is known, or it is gone since");
    }

    #[test]
    fn what_was_seen_within_its_second_is_uncertain() {
        let seen = |millis| Facts { seen_at: Some(at(5) + TimeDelta::milliseconds(millis)), ..known(5) };
        assert!(is_uncertain(&listed("1", 5), &seen(0)) && is_uncertain(&listed("1", 5), &seen(4_999)));
        assert!(!is_uncertain(&listed("1", 5), &seen(5_000)), "nothing more can get this version");
        assert!(!is_uncertain(&listed("1", 6), &seen(0)), "it is wanted anyway");
        assert!(!is_uncertain(&listed("1", 5), &known(5)) && !is_uncertain(&listed("1", 5), &Facts::default()));
    }

    #[test]
    fn what_was_ordered_is_ordered_once() {
        assert!(!is_wanted(&listed("1", 5), &sighted(5, 10, 1, false)));
        assert!(!is_wanted(&listed("1", 5), &sighted(6, 10, 1, false)));
        assert!(is_wanted(&listed("1", 7), &sighted(6, 10, 1, false)), "it changed since");
        assert!(is_wanted(&listed("1", 5), &sighted(5, 3600, 1, false)), "the read showed an older version");
        assert!(!is_wanted(&listed("1", 5), &sighted(5, 3600, 1, true)), "a letter waits for a person");
        assert!(!is_wanted(&listed("1", 5), &sighted(5, 3600, 3, false)), "not for ever");
    }

    #[test]
    fn what_was_ordered_and_is_not_known_yet_can_be_hastened() {
        let page = [listed("2", 5), listed("1", 5), listed("3", 5), listed("1", 4)];
        let done = Facts { known: Some(at(5)), ..sighted(5, 10, 1, false) };
        let facts = [("1".to_owned(), sighted(5, 10, 1, false)), ("2".to_owned(), done), ("3".to_owned(), known(4))].into();
        assert_eq!(ordered(&page, &facts), ["1"]);
    }

    #[test]
    fn a_page_orders_each_entity_once_in_its_newest_version() {
        let page = [listed("2", 5), listed("1", 5), listed("3", 6), listed("2", 7)];
        let facts = [("1".to_owned(), known(5)), ("2".to_owned(), known(5))].into();
        let wanted = wanted(&page, &facts);
        assert_eq!(wanted, [&listed("2", 7), &listed("3", 6)]);
    }

    #[test]
    fn the_position_follows_the_source_and_never_falls_back() {
        assert_eq!(advanced(at(10), &[], true), at(10));
        assert_eq!(advanced(at(10), &[listed("1", 8), listed("2", 9)], true), at(10), "the overlap only");
        assert_eq!(advanced(at(10), &[listed("1", 9), listed("2", 12)], true), at(12));
        let indexed_late = [listed("1", 11), listed("2", 99), listed("3", 12)];
        assert_eq!(advanced(at(10), &indexed_late, false), at(11), "what changed at 13 may be on the next page");
    }

    /// A page ends in the middle of a second, and the process with it.
    #[test]
    fn what_shares_its_time_with_the_end_of_a_page_is_listed_again() {
        let all = [listed("1", 10), listed("2", 11), listed("3", 11), listed("4", 11)];
        let position = advanced(at(0), &all[..2], false);
        for overlap in [0, 1, 120] {
            let since = start(position, Duration::from_secs(overlap));
            assert!(all[2..].iter().all(|it| it.updated_at >= since), "overlap {overlap}");
        }
    }

    #[test]
    fn work_that_can_wait_leaves_the_budget_to_live_traffic() {
        assert!(may_go_on(9, 10, None, 0.5));
        assert!(may_go_on(9, 10, Some(0.5), 0.5));
        assert!(!may_go_on(10, 10, None, 0.5), "enough is waiting");
        assert!(!may_go_on(0, 10, Some(0.49), 0.5), "the bucket is low");
    }

    #[test]
    fn intervals_differ_by_a_tenth() {
        let minute = Duration::from_secs(60);
        assert_eq!(jittered(minute, 0.0), Duration::from_secs(54));
        assert_eq!(jittered(minute, 1.0), Duration::from_secs(66));
    }

    #[test]
    fn silence_is_an_alarm_only_where_something_happened() {
        let minutes = |it: u64| Duration::from_secs(it * 60);
        assert!(!is_silent(minutes(90), minutes(30), None), "a quiet shop");
        assert!(!is_silent(minutes(20), minutes(30), Some(minutes(1))), "not for long yet");
        assert!(!is_silent(minutes(40), minutes(30), Some(minutes(50))), "what was found came before the last delivery");
        assert!(is_silent(minutes(40), minutes(30), Some(minutes(10))));
    }
}
