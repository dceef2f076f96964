//! The version guard: which deliveries of an entity are newer than what we have, and which sequence they get.

use chrono::{DateTime, SecondsFormat, Utc};

/// The source's version of an entity: its own `updated_at`, and when the delivery was triggered or read. Timestamps of sources
/// have whole seconds, and several webhooks of one order fire within one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    pub updated_at: DateTime<Utc>,
    pub seen_at: DateTime<Utc>,
}

impl Version {
    /// Text that sorts like the version.
    pub fn to_text(self) -> String {
        let fixed = |it: DateTime<Utc>| it.to_rfc3339_opts(SecondsFormat::Nanos, true);
        format!("{}/{}", fixed(self.updated_at), fixed(self.seen_at))
    }

    pub fn parse(text: &str) -> Option<Self> {
        let (updated_at, seen_at) = text.split_once('/')?;
        let time = |text: &str| DateTime::parse_from_rfc3339(text).ok().map(|it| it.to_utc());
        Some(Self { updated_at: time(updated_at)?, seen_at: time(seen_at)? })
    }
}

/// The hash of an entity that is gone at its source: it has no content, and differs from every content.
pub const TOMBSTONE: [u8; 32] = [0; 32];

/// What is stored of an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// 0: it was gone before anything of it was accepted.
    pub sequence: u64,
    /// [`Version::to_text`].
    pub version: String,
    pub hash: [u8; 32],
}

impl Known {
    pub fn is_tombstone(&self) -> bool {
        self.hash == TOMBSTONE
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It gets this sequence. `reread`: two bodies claim the same version, only the source knows which one holds.
    Accept { sequence: u64, reread: bool },
    /// A later delivery with the same content: the version moves on, no event is due.
    Unchanged,
    /// A later version was accepted before.
    Superseded,
    /// The same version with the same content.
    Repeat,
}

pub fn judge(known: Option<&Known>, version: Version, hash: &[u8; 32]) -> Verdict {
    let Some(known) = known else { return Verdict::Accept { sequence: 1, reread: false } };
    let version = version.to_text();
    let next = known.sequence + 1;
    match (version.cmp(&known.version), *hash == known.hash) {
        (std::cmp::Ordering::Less, _) => Verdict::Superseded,
        (std::cmp::Ordering::Equal, true) => Verdict::Repeat,
        (std::cmp::Ordering::Equal, false) => Verdict::Accept { sequence: next, reread: true },
        (std::cmp::Ordering::Greater, true) => Verdict::Unchanged,
        (std::cmp::Ordering::Greater, false) => Verdict::Accept { sequence: next, reread: false },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(updated: i64, seen: i64) -> Version {
        let at = |seconds| DateTime::from_timestamp(1_790_000_000 + seconds, 0).unwrap();
        Version { updated_at: at(updated), seen_at: at(seen) }
    }

    fn check(known: (i64, i64, u8), incoming: (i64, i64, u8), expected: Verdict) {
        let known = Known { sequence: 4, version: version(known.0, known.1).to_text(), hash: [known.2; 32] };
        assert_eq!(judge(Some(&known), version(incoming.0, incoming.1), &[incoming.2; 32]), expected);
    }

    #[test]
    fn what_is_older_is_superseded_whatever_it_says() {
        check((10, 10, 1), (9, 99, 2), Verdict::Superseded);
        check((10, 10, 1), (10, 9, 2), Verdict::Superseded);
        check((10, 10, 1), (9, 9, 1), Verdict::Superseded);
    }

    #[test]
    fn what_is_newer_is_accepted_unless_it_says_the_same() {
        check((10, 10, 1), (11, 5, 2), Verdict::Accept { sequence: 5, reread: false });
        check((10, 10, 1), (10, 11, 2), Verdict::Accept { sequence: 5, reread: false });
        check((10, 10, 1), (11, 11, 1), Verdict::Unchanged);
    }

    #[test]
    fn two_bodies_of_one_version_are_settled_by_the_source() {
        check((10, 10, 1), (10, 10, 2), Verdict::Accept { sequence: 5, reread: true });
        check((10, 10, 1), (10, 10, 1), Verdict::Repeat);
    }

    /// It is accepted once; what happened before it stays dead, and what happens after it is a new life.
    #[test]
    fn a_tombstone_is_a_version_like_any_other() {
        let gone = |sequence| Known { sequence, version: version(20, 20).to_text(), hash: TOMBSTONE };
        let alive = Known { sequence: 4, version: version(10, 10).to_text(), hash: [1; 32] };
        assert_eq!(judge(Some(&alive), version(20, 20), &TOMBSTONE), Verdict::Accept { sequence: 5, reread: false });
        assert_eq!(judge(Some(&gone(5)), version(30, 30), &TOMBSTONE), Verdict::Unchanged);
        assert_eq!(judge(Some(&gone(5)), version(19, 25), &[1; 32]), Verdict::Superseded);
        assert_eq!(judge(Some(&gone(5)), version(21, 21), &[1; 32]), Verdict::Accept { sequence: 6, reread: false });
        assert_eq!(judge(Some(&gone(0)), version(21, 21), &[1; 32]), Verdict::Accept { sequence: 1, reread: false }, "never known");
    }

    #[test]
    fn the_first_version_is_the_first() {
        assert_eq!(judge(None, version(0, 0), &[0; 32]), Verdict::Accept { sequence: 1, reread: false });
    }

    proptest! {
        /// Whatever the order of arrival, the newest version ends on top, and sequences have no gap.
        #[test]
        fn the_newest_wins_in_every_order(mut versions in prop::collection::vec((0i64..20, 0i64..20), 1..30), order in any::<prop::sample::Index>()) {
            let pivot = order.index(versions.len());
            versions.rotate_left(pivot);
            let mut known: Option<Known> = None;
            for (updated, seen) in &versions {
                let incoming = version(*updated, *seen);
                let mut hash = [1; 32];
                hash[..2].copy_from_slice(&u16::try_from(updated * 20 + seen).unwrap().to_be_bytes());
                if let Verdict::Accept { sequence, .. } = judge(known.as_ref(), incoming, &hash) {
                    prop_assert_eq!(sequence, known.as_ref().map_or(0, |it| it.sequence) + 1);
                    known = Some(Known { sequence, version: incoming.to_text(), hash });
                }
            }
            let newest = versions.iter().map(|(updated, seen)| version(*updated, *seen)).max().unwrap();
            prop_assert_eq!(known.unwrap().version, newest.to_text());
        }

        #[test]
        fn text_sorts_like_versions(a in (0i64..100_000, 0i64..100_000), b in (0i64..100_000, 0i64..100_000)) {
            let (a, b) = (version(a.0, a.1), version(b.0, b.1));
            prop_assert_eq!(a.cmp(&b), a.to_text().cmp(&b.to_text()));
            prop_assert_eq!(Version::parse(&a.to_text()), Some(a));
        }
    }
}
