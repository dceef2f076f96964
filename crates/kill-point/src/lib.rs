//! Moments between two steps of which either may be the last one of a process.
//!
//! The code says where they are; what a death there leaves behind is proved by the chaos suite, which has a process kill itself at
//! each of them (`chaos --kill-points`), or stand still there until others have taken over (`--stall`). In every other build
//! [`reach`] is an empty function.

#[cfg(feature = "armed")]
mod armed;

#[cfg(all(feature = "armed", not(debug_assertions)))]
compile_error!("kill-point/armed lets anybody who can write a file kill the process: builds for production must not hold it");

#[cfg(feature = "armed")]
pub use armed::{reach, reach_in};

/// The variable that names the kill file. The file says `<point> <nth>`: who arrives at that point for the nth time since it says
/// so removes it and dies. With ` stop` behind it stands still instead, until it gets SIGCONT. `<point>/<part>` means arrivals in that
/// part only.
pub const FILE: &str = "TRADEWIND_KILL_FILE";

/// Nothing happens here.
#[cfg(not(feature = "armed"))]
#[inline(always)]
pub const fn reach(_point: Point) {}

/// Nothing happens here. `part`: which of several things comes by, such as the name of a step.
#[cfg(not(feature = "armed"))]
#[inline(always)]
pub const fn reach_in(_point: Point, _part: &str) {}

/// One line per point: who comes by there, and what has happened and what has not.
macro_rules! points {
    ($($point:ident $name:literal $programs:ident $says:literal,)*) => {
        /// A moment at which a death must be harmless.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Point {
            $(#[doc = $says] $point,)*
        }

        impl Point {
            pub const ALL: &[Self] = &[$(Self::$point),*];

            /// As the kill file has it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$point => $name),* }
            }

            /// The programs that come by there.
            pub const fn programs(self) -> &'static [&'static str] {
                match self { $(Self::$point => $programs),* }
            }

            /// What has happened, and what has not.
            pub const fn says(self) -> &'static str {
                match self { $(Self::$point => $says),* }
            }
        }
    };
}

const INGEST: &[&str] = &["storefront-ingest"];
const ADAPTER: &[&str] = &["erp-adapter"];
const STOCK: &[&str] = &["inventory-sync"];
const REPLAYER: &[&str] = &["dead-letter-replayer"];
const CONSUMERS: &[&str] = &["storefront-ingest", "order-router", "erp-adapter", "inventory-sync"];
const CALLERS: &[&str] = &["storefront-ingest", "erp-adapter", "inventory-sync"];
const WRITERS_OF_LETTERS: &[&str] = &["storefront-ingest", "erp-adapter"];
const ALL: &[&str] = &["storefront-ingest", "order-router", "erp-adapter", "inventory-sync", "dead-letter-replayer"];

points! {
    ProcessBegun "process.begun" ALL "the process runs, nothing else",
    DoorConfirmed "door.confirmed" INGEST "Kafka has the delivery, its sender has no answer",
    DoorSpooled "door.spooled" INGEST "the delivery is in the spool, its sender has no answer",
    SpoolConfirmed "spool.confirmed" INGEST "Kafka has what was spooled, the spool has it too",
    RereadProduced "reread.produced" INGEST "Kafka has what was read again, the request for it stands",
    ListingRead "listing.read" INGEST "a page of the shop's list is read, nothing of it is ordered and the cursor has not moved",
    ConsumerPolled "consumer.polled" CONSUMERS "a record left the broker, nobody looked at it",
    LedgerCommitted "ledger.committed" CONSUMERS "what becomes of a batch is stored, nothing is done about it",
    PublishEnqueued "publish.enqueued" CONSUMERS "outputs are in the producer's queue, none is known to be confirmed",
    PublishConfirmed "publish.confirmed" CONSUMERS "Kafka has the outputs, nobody noted it",
    RecordSettled "record.settled" CONSUMERS "records are settled, their offsets are not stored",
    OffsetStored "offset.stored" CONSUMERS "offsets are stored in the client, and not committed",
    RevokeAsked "revoke.asked" CONSUMERS "partitions are to be given back, nothing was done about it",
    RevokeSettled "revoke.settled" CONSUMERS "what was out of them is settled, their offsets are not committed",
    RevokeCommitted "revoke.committed" CONSUMERS "their offsets are committed, they are still ours",
    StepClaimed "step.claimed" ADAPTER "the first step of an operation is claimed, nothing of it is sent",
    StepFollowed "step.followed" ADAPTER "one step is confirmed and the next is claimed, the next is not sent",
    StepAnswered "step.answered" ADAPTER "the ERP has carried the step out and said so, nobody noted it",
    HttpAnswered "http.answered" CALLERS "the other side answers, its answer is not read",
    LetterWritten "letter.written" WRITERS_OF_LETTERS "a letter's row is written, its transaction is open",
    LetterCommitted "letter.committed" WRITERS_OF_LETTERS "a letter is committed, its record's offset has not moved",
    LetterParked "letter.parked" ADAPTER "a key is parked, its transaction is open and holds the lock",
    LetterHeld "letter.held" ADAPTER "a record is held behind a letter, its transaction is open and holds the lock",
    LetterFreed "letter.freed" ADAPTER "a key is free again, its transaction is open and holds the lock",
    LetterDrained "letter.drained" ADAPTER "letters are claimed to be tried again, none was touched",
    LetterActed "letter.acted" ADAPTER "a letter's step was done, nobody noted it",
    ReplayWritten "replay.written" REPLAYER "a replay is written, its transaction is open and holds the key's lock",
    ReplayCommitted "replay.committed" REPLAYER "a replay is committed, whoever asked for it has no answer",
    OutcomeProduced "outcome.produced" REPLAYER "Kafka has the outcome of a replay, nobody noted it",
    CopyProduced "copy.produced" REPLAYER "Kafka has the copy of a letter, nobody noted it",
    CaptureRead "capture.read" ADAPTER "levels are read, neither they nor the cursor are stored",
    CaptureProduced "capture.produced" ADAPTER "Kafka has what the outbox had, nobody noted it",
    PushNoted "push.noted" STOCK "what is to be pushed is noted, nothing is sent",
    PushAnswered "push.answered" STOCK "the shop has the levels and said so, nobody noted it",
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_point_has_a_name_of_its_own_that_a_kill_file_can_hold() {
        let names: BTreeSet<&str> = Point::ALL.iter().map(|it| it.name()).collect();
        assert_eq!(names.len(), Point::ALL.len());
        assert!(names.iter().all(|it| it.bytes().all(|it| it.is_ascii_lowercase() || it == b'.')), "{names:?}");
    }
}
