//! A client whose brokers are away keeps trying. One that a starting broker has told of no brokers forgets them all, those of its
//! settings too, and never connects again (librdkafka #5301, open as of 2.15).

use std::sync::atomic::{AtomicU32, Ordering};

use rdkafka::Statistics;

/// Looks in a row that found a client without brokers.
#[derive(Debug, Default)]
pub(crate) struct Lonely(AtomicU32);

impl Lonely {
    /// True when it is news that they are gone for good.
    pub(crate) fn look(&self, statistics: &Statistics) -> bool {
        let has_any = statistics.brokers.values().any(|it| matches!(it.source.as_str(), "learned" | "configured"));
        let looks = if has_any { 0 } else { self.0.load(Ordering::Relaxed) + 1 };
        self.0.store(looks, Ordering::Relaxed);
        looks == LOOKS
    }

    pub(crate) fn is_for_good(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= LOOKS
    }
}

/// One may come while brokers are exchanged.
const LOOKS: u32 = 3;

#[cfg(test)]
mod tests {
    use rdkafka::statistics::Broker;

    use super::*;

    fn knows(sources: &[&str]) -> Statistics {
        let broker = |it: &&str| ((*it).to_owned(), Broker { source: (*it).to_owned(), state: "DOWN".to_owned(), ..Broker::default() });
        Statistics { brokers: sources.iter().map(broker).collect(), ..Statistics::default() }
    }

    #[test]
    fn a_client_that_has_lost_its_brokers_is_given_up_and_one_whose_brokers_are_away_is_not() {
        let lonely = Lonely::default();
        for _ in 0..100 {
            for sources in [["logical", "configured"].as_slice(), &["logical", "internal"], &[], &["learned"]] {
                assert!(!lonely.look(&knows(sources)));
            }
        }
        let news: Vec<bool> = (0..5).map(|_| lonely.look(&knows(&["logical", "internal"]))).collect();
        assert_eq!((news, lonely.is_for_good()), (vec![false, false, true, false, false], true));
    }
}
