use std::sync::Arc;
use std::sync::atomic::Ordering;

use contracts::topics::Parking;
use fault::{Class, Fault};
use pipeline::{Batch, Entry, Ledger as _, Next, Origin, Record, Turn, Verdict};
use sqlx::Connection as _;
use store::letters::{self, DiscardScope, LetterError, LetterState, StoredLetter};

use super::group::{GROUP, Group, record};

fn states(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(value, state)| ((*value).to_owned(), (*state).to_owned())).collect()
}

/// No outcome is published.
fn nobody() -> letters::OutcomeOf {
    std::sync::Arc::new(|_| None)
}

/// One dead record, two of its key held, one of another key through.
async fn parked() -> Group {
    let group = Group::new(Parking::Park).await;
    assert_eq!(group.settle(&record("1", 1, "bad a")).await, "letter");
    assert_eq!(group.settle(&record("1", 2, "b")).await, "done");
    assert_eq!(group.settle(&record("1", 3, "bad c")).await, "done");
    assert_eq!(group.settle(&record("2", 4, "d")).await, "produced");
    group
}

fn letters_id(record: u128) -> uuid::Uuid {
    contracts::ids::letter(GROUP, uuid::Uuid::from_u128(record))
}

fn head() -> uuid::Uuid {
    letters_id(1)
}

#[tokio::test]
async fn later_records_of_a_dead_key_are_held_and_others_pass() {
    let group = parked().await;
    assert_eq!(group.states().await, states(&[("bad a", "dead"), ("b", "held"), ("bad c", "held")]));
    assert!(group.drained().await.is_empty(), "nobody asked for a replay");
    assert_eq!(group.settle(&record("1", 2, "b")).await, "done", "read again after a crash");
    assert_eq!(group.states().await.len(), 3);
}

#[tokio::test]
async fn a_replayed_head_goes_first_and_the_others_follow_in_order() {
    let group = parked().await;
    group.script.repaired.store(true, Ordering::Relaxed);
    letters::replay(&group.store, head(), "ada", "item added", None, nobody()).await.unwrap();
    let drained = group.drained().await;
    assert_eq!(drained.iter().map(|it| &it.value[..]).collect::<Vec<_>>(), [b"bad a"]);
    assert_eq!(drained[0].headers, record("1", 1, "").headers, "byte for byte");
    assert_eq!((drained[0].offset, drained[0].timestamp_ms), (1, 1_790_000_000_000));
    assert!(group.drained().await.is_empty(), "it is out once");

    assert_eq!(group.settle(&record("1", 5, "e")).await, "done", "a live record does not overtake");
    assert!(group.drained().await.is_empty(), "nor does it overtake those that are held, while the head is out");
    assert_eq!(group.settle(&drained[0]).await, "produced");
    assert_eq!(group.settle(&record("1", 6, "f")).await, "done");
    let mut followed = Vec::new();
    loop {
        let next = group.drained().await;
        for it in &next {
            assert_eq!(group.settle(it).await, "produced");
        }
        followed.extend(next.iter().map(|it| it.value.clone()));
        if next.is_empty() {
            break;
        }
    }
    assert_eq!(followed, [&b"b"[..], b"bad c", b"e", b"f"]);
    assert!(group.states().await.iter().all(|(_, state)| state == "applied"), "{:?}", group.states().await);
    assert_eq!(group.count("select count(*) from letters.parked").await, 0);
    assert_eq!(group.settle(&record("1", 7, "g")).await, "produced", "the key is free");
}

#[tokio::test]
async fn a_letter_that_fails_again_holds_what_is_behind_it() {
    let group = parked().await;
    letters::replay(&group.store, head(), "ada", "try", None, nobody()).await.unwrap();
    let drained = group.drained().await;
    assert_eq!(group.settle(&drained[0]).await, "letter");
    assert_eq!(group.states().await, states(&[("bad a", "dead"), ("b", "held"), ("bad c", "held")]));

    letters::discard(&group.store, head(), "ada", "not ours", DiscardScope::Release, None, nobody()).await.unwrap();
    let drained = group.drained().await;
    assert_eq!(drained.len(), 2);
    assert_eq!(group.settle(&drained[0]).await, "produced");
    assert_eq!(group.settle(&drained[1]).await, "letter");
    assert_eq!(group.states().await, states(&[("bad a", "discarded"), ("b", "applied"), ("bad c", "dead")]));
    assert_eq!(group.settle(&record("1", 8, "h")).await, "done");
    assert_eq!(group.states().await[3].1, "held");
}

/// Whoever looks at a letter must not chase a cause that is gone.
#[tokio::test]
async fn a_letter_that_failed_twice_shows_the_second_cause_and_its_history_has_both() {
    let group = parked().await;
    let first = letters::get(&group.store, head()).await.unwrap();
    assert_eq!((first.letter.code.as_deref(), first.letter.message.as_deref()), (Some("bad"), Some("it is bad")));

    letters::replay(&group.store, head(), "ada", "repaired", None, nobody()).await.unwrap();
    let again = group.drained().await.remove(0);
    assert!(matches!(group.arrives(&again).await, Next::Fail(_)));
    let fault = Fault::new(Class::BusinessRejected, "erp_refused", "the item is locked").with_source(std::io::Error::other("error 17"));
    let failed = Turn::Failed { fault: Arc::new(fault), verdict: Verdict::Letter, attempts: 2, report: None };
    assert!(matches!(group.turn(&again, failed).await, Next::Done));

    let StoredLetter { letter, causes, audit, .. } = letters::get(&group.store, head()).await.unwrap();
    assert_eq!(letter.state, LetterState::Dead);
    let shown = (letter.class.as_deref(), letter.code.as_deref(), letter.message.as_deref(), letter.attempts);
    assert_eq!(shown, (Some("business_rejected"), Some("erp_refused"), Some("the item is locked"), 3));
    assert_eq!(causes, ["error 17"]);
    assert_ne!(letter.fingerprint, first.letter.fingerprint);
    assert_eq!(letter.first_failed_at, first.letter.first_failed_at);
    assert!(letter.last_failed_at > first.letter.last_failed_at);
    let history: Vec<_> = audit.iter().map(|it| format!("{} {}", it.verb, it.detail)).collect();
    assert_eq!(history, ["letter.dead bad: it is bad", "letter.replay repaired", "letter.dead erp_refused: the item is locked"]);
}

#[tokio::test]
async fn what_was_handed_out_behind_a_letter_that_failed_goes_back() {
    let group = parked().await;
    letters::discard(&group.store, head(), "ada", "not ours", DiscardScope::Release, None, nobody()).await.unwrap();
    assert_eq!(group.settle(&record("1", 5, "e")).await, "done");
    let mut drained = group.drained().await;
    assert_eq!(drained.iter().map(|it| &it.value[..]).collect::<Vec<_>>(), [&b"b"[..], b"bad c"]);
    assert_eq!(group.settle(&drained[0]).await, "produced");
    drained.extend(group.drained().await);
    assert_eq!(drained[2].value, "e");
    assert_eq!(group.settle(&drained[1]).await, "letter");
    assert_eq!(group.settle(&drained[2]).await, "done");
    assert_eq!(group.states().await[3], ("e".to_owned(), "held".to_owned()));
}

#[tokio::test]
async fn what_was_handed_out_does_not_overtake_what_went_back_before_it() {
    let group = parked().await;
    for (id, value) in [(5, "e"), (6, "f")] {
        assert_eq!(group.settle(&record("1", id, value)).await, "done");
    }
    letters::discard(&group.store, head(), "ada", "not ours", DiscardScope::Release, None, nobody()).await.unwrap();
    let out = group.drained().await;
    assert_eq!(out.iter().map(|it| &it.value[..]).collect::<Vec<_>>(), [&b"b"[..], b"bad c", b"e", b"f"]);
    assert_eq!(group.settle(&out[0]).await, "produced");
    assert_eq!(group.settle(&out[1]).await, "letter");
    assert_eq!(group.settle(&out[2]).await, "done", "it went back");
    letters::discard(&group.store, letters_id(3), "ada", "not ours", DiscardScope::Release, None, nobody()).await.unwrap();
    assert_eq!(group.settle(&out[3]).await, "done", "so does this one, although it is due");
    let followed = group.drained().await;
    assert_eq!(followed.iter().map(|it| &it.value[..]).collect::<Vec<_>>(), [b"e", b"f"]);
    for it in &followed {
        assert_eq!(group.settle(it).await, "produced");
    }
}

#[tokio::test]
async fn a_key_holds_so_many_letters_and_what_follows_stays_in_its_partition() {
    let group = parked().await;
    let sql = "insert into letters.letter (id, grp, ce_id, source, kind, aggregate, state, blocked_by, origin_topic, origin_partition,
                 origin_offset, origin_time_ms, key, value, headers)
               select gen_random_uuid(), grp, gen_random_uuid(), source, kind, aggregate, 'held', id, origin_topic, origin_partition,
                 1000 + n, origin_time_ms, key, value, headers
               from letters.letter, generate_series(1, $2) n where id = $1";
    let more = i32::try_from(letters::KEY_LETTERS_MAX).unwrap() - 4;
    sqlx::query(sql).bind(head()).bind(more).execute(group.store.pool()).await.unwrap();
    assert!(matches!(group.arrives(&record("1", 5, "e")).await, Next::Lettered), "there is room for one");
    assert!(matches!(group.arrives(&record("1", 6, "f")).await, Next::Later(_)));
    assert_eq!(group.settle(&record("2", 7, "g")).await, "produced", "another key is not concerned");
    letters::discard(&group.store, head(), "ada", "a loop", DiscardScope::Chain, None, nobody()).await.unwrap();
    assert_eq!(group.settle(&record("1", 6, "f")).await, "produced");
}

#[tokio::test]
async fn a_chain_is_discarded_with_its_head() {
    let group = parked().await;
    let (letter, discarded) =
        letters::discard(&group.store, head(), "ada", "test order", DiscardScope::Chain, Some("r1"), nobody()).await.unwrap();
    assert_eq!((letter.state.as_str(), discarded), ("discarded", 3));
    assert_eq!(group.count("select count(*) from letters.parked").await, 0);
    assert_eq!(group.settle(&record("1", 9, "i")).await, "produced");
    let (_, again) = letters::discard(&group.store, head(), "ada", "test order", DiscardScope::Chain, Some("r1"), nobody()).await.unwrap();
    assert_eq!(again, 0, "the same request changes nothing");
}

#[tokio::test]
async fn one_process_drains_a_key() {
    let group = parked().await;
    letters::replay(&group.store, head(), "ada", "try", None, nobody()).await.unwrap();
    assert_eq!(group.drained().await.len(), 1);
    let other = group.restarted();
    assert!(other.drain(10).await.unwrap().is_empty(), "it is claimed");
    sqlx::query("update letters.parked set claimed_until = now() - interval '1 second'").execute(group.store.pool()).await.unwrap();
    let taken = other.drain(10).await.unwrap();
    assert_eq!(taken.len(), 1, "a dead process's keys go on");
    assert_eq!(taken[0].record.origin, Origin::Letter(head()));
}

#[tokio::test]
async fn letters_that_are_given_back_go_on_at_once_and_blame_nobody() {
    let group = parked().await;
    letters::replay(&group.store, head(), "ada", "try", None, nobody()).await.unwrap();
    assert_eq!(group.drained().await.len(), 1);
    group.ledger.give_letters_back().await.unwrap();
    let taken = group.restarted().drain(10).await.unwrap();
    assert_eq!(taken.iter().map(|it| (it.record.origin, it.deaths)).collect::<Vec<_>>(), [(Origin::Letter(head()), 0)]);
}

#[tokio::test]
async fn what_is_out_stays_claimed_while_there_is_room_for_no_more() {
    let group = parked().await;
    letters::replay(&group.store, head(), "ada", "try", None, nobody()).await.unwrap();
    assert_eq!(group.drained().await.len(), 1);
    sqlx::query("update letters.parked set claimed_until = now() + interval '1 second'").execute(group.store.pool()).await.unwrap();
    assert!(group.ledger.drain(0).await.unwrap().is_empty());
    assert_eq!(group.count("select count(*) from letters.parked where claimed_until > now() + interval '50 seconds'").await, 1);
}

/// Letters of a target that refuses them stay in hand for long.
#[tokio::test]
async fn what_is_out_takes_no_room_from_what_is_not() {
    let group = Group::new(Parking::Park).await;
    for key in 1..=3 {
        assert_eq!(group.settle(&record(&key.to_string(), key, "bad")).await, "letter");
    }
    let replay = async |key: u128| {
        let id = letters_id(key);
        letters::replay(&group.store, id, "ada", "try", None, nobody()).await.unwrap();
        Origin::Letter(id)
    };
    let out = [replay(1).await, replay(2).await];
    let drain = async || group.ledger.drain(2).await.unwrap().iter().map(|it| it.record.origin).collect::<Vec<_>>();
    assert_eq!(drain().await, out);
    let third = replay(3).await;
    assert_eq!(drain().await, [third]);
}

/// Deaths of each letter of the group, oldest first.
async fn deaths(group: &Group) -> Vec<i32> {
    sqlx::query_scalar("select deaths from letters.letter order by ordinal").fetch_all(group.store.pool()).await.unwrap()
}

#[tokio::test]
async fn when_a_process_died_the_next_letter_of_its_keys_is_blamed_until_somebody_replays_it() {
    let group = parked().await;
    letters::replay(&group.store, head(), "ada", "try", None, nobody()).await.unwrap();
    sqlx::query("update letters.letter set state = 'replaying'").execute(group.store.pool()).await.unwrap();
    assert_eq!(group.drained().await.len(), 3);
    for lives in 1..=2 {
        let next = group.restarted();
        assert!(next.drain(10).await.unwrap().is_empty());
        sqlx::query("update letters.parked set claimed_until = now() - interval '1 second'").execute(group.store.pool()).await.unwrap();
        let blamed: Vec<_> = next.drain(10).await.unwrap().iter().map(|it| it.deaths).collect();
        assert_eq!(blamed, [lives, 0, 0]);
        assert!(next.drain(10).await.unwrap().is_empty(), "its own claim it renews");
    }
    assert_eq!(deaths(&group).await, [2, 0, 0]);
    sqlx::query("update letters.letter set state = 'dead' where id = $1").bind(head()).execute(group.store.pool()).await.unwrap();
    letters::replay(&group.store, head(), "ada", "more memory", None, nobody()).await.unwrap();
    assert_eq!(deaths(&group).await, [0, 0, 0]);
}

#[tokio::test]
async fn where_records_are_independent_a_dead_one_holds_nothing_and_nothing_supersedes_it() {
    let group = Group::new(Parking::Independent).await;
    assert_eq!(group.settle(&record("1", 1, "bad a")).await, "letter");
    assert_eq!(group.settle(&record("1", 2, "b")).await, "produced");
    assert_eq!(group.states().await, states(&[("bad a", "dead")]));
    assert_eq!(group.count("select count(*) from letters.parked").await, 0);
    group.script.repaired.store(true, Ordering::Relaxed);
    letters::replay(&group.store, head(), "ada", "mended", None, nobody()).await.unwrap();
    assert_eq!(group.settle(&group.drained().await.remove(0)).await, "produced");
}

#[tokio::test]
async fn a_later_good_version_supersedes_a_dead_one_where_the_latest_wins() {
    let group = Group::new(Parking::LatestWins).await;
    assert_eq!(group.settle(&record("1", 1, "bad a")).await, "letter");
    assert_eq!(group.settle(&record("2", 2, "b")).await, "produced");
    assert_eq!(group.states().await[0].1, "dead", "another subject's version says nothing");
    assert_eq!(group.settle(&record("1", 3, "c")).await, "produced", "nothing is held");
    assert_eq!(group.states().await[0].1, "superseded");
}

#[tokio::test]
async fn an_older_good_version_ends_no_later_one_where_the_latest_wins() {
    let group = Group::new(Parking::LatestWins).await;
    assert_eq!(group.settle(&record("1", 2, "bad b")).await, "letter");
    assert_eq!(group.settle(&record("1", 3, "bad c")).await, "letter");
    assert_eq!(group.settle(&record("1", 1, "a")).await, "produced", "it came late");
    assert_eq!(group.states().await, states(&[("bad b", "dead"), ("bad c", "dead")]));
    group.script.repaired.store(true, Ordering::Relaxed);
    letters::replay(&group.store, letters_id(2), "ada", "one first", None, nobody()).await.unwrap();
    assert_eq!(group.settle(&group.drained().await.remove(0)).await, "produced");
    assert_eq!(group.states().await, states(&[("bad b", "applied"), ("bad c", "dead")]));
    assert_eq!(group.settle(&record("1", 4, "d")).await, "produced");
    assert_eq!(group.states().await, states(&[("bad b", "applied"), ("bad c", "superseded")]));
}

#[tokio::test]
async fn where_the_latest_wins_one_that_fails_again_leaves_another_of_its_key_on_its_way() {
    let group = Group::new(Parking::LatestWins).await;
    for id in [1, 2] {
        assert_eq!(group.settle(&record("1", id, &format!("bad {id}"))).await, "letter");
        letters::replay(&group.store, letters_id(id), "ada", "try", None, nobody()).await.unwrap();
    }
    let first = group.ledger.drain(1).await.unwrap().remove(0).record;
    assert_eq!(group.settle(&first).await, "letter");
    assert_eq!(group.settle(&record("1", 3, "bad 3")).await, "letter", "from its topic");
    assert_eq!(group.states().await, states(&[("bad 1", "dead"), ("bad 2", "replaying"), ("bad 3", "dead")]));
    group.script.repaired.store(true, Ordering::Relaxed);
    assert_eq!(group.settle(&group.drained().await.remove(0)).await, "produced");
}

#[tokio::test]
async fn a_failure_that_no_database_can_spell_is_a_letter_all_the_same() {
    let group = Group::new(Parking::Park).await;
    let unspeakable = || {
        let mut fault = Fault::new(Class::DependencyMissing, "erp_unknown_item", "item MUG\0 is unknown");
        fault.missing = Some("item:MUG\0".to_owned());
        fault.with_source(std::io::Error::other("error\0"))
    };
    let (first, behind) = (record("1\0", 1, "bad\0"), record("1\0", 2, "b"));
    group.give_up(&first, unspeakable()).await;
    assert_eq!(group.settle(&behind).await, "done");
    let StoredLetter { letter, causes, value, key, .. } = letters::get(&group.store, head()).await.unwrap();
    assert_eq!((letter.aggregate.as_str(), letter.held), ("shop/order/1\u{fffd}", 1));
    assert_eq!((letter.message.as_deref(), causes), (Some("item MUG\u{fffd} is unknown"), vec!["error\u{fffd}".to_owned()]));
    assert_eq!((&key[..], &value[..]), (&first.key[..], &first.value[..]), "byte for byte");

    letters::replay(&group.store, head(), "ada", "item added", None, nobody()).await.unwrap();
    let again = group.drained().await.remove(0);
    group.give_up(&again, unspeakable()).await;
    assert_eq!(letters::get(&group.store, head()).await.unwrap().letter.state, LetterState::Dead);
}

/// A commit whose answer was lost is made again, and a process that stood still makes it late: others have gone on meanwhile.
#[tokio::test]
async fn a_failure_that_is_told_again_undoes_nothing_that_came_after_it() {
    let again = async |group: &Group, record: &Record| {
        let audited = group.count("select count(*) from letters.audit").await;
        let before = group.states().await;
        group.give_up(record, Fault::new(Class::Validation, "bad", "it is bad")).await;
        assert_eq!(group.states().await, before);
        assert_eq!(group.count("select count(*) from letters.audit").await, audited, "nothing happened");
    };
    let group = parked().await;
    group.script.repaired.store(true, Ordering::Relaxed);
    again(&group, &record("1", 1, "bad a")).await;
    letters::replay(&group.store, head(), "ada", "item added", None, nobody()).await.unwrap();
    again(&group, &record("1", 1, "bad a")).await;
    let drained = group.drained().await.remove(0);
    assert_eq!(group.settle(&drained).await, "produced");
    again(&group, &record("1", 1, "bad a")).await;
    again(&group, &drained).await;
    for held in group.drained().await {
        assert_eq!(group.settle(&held).await, "produced");
    }
    again(&group, &drained).await;
    assert_eq!(group.count("select count(*) from letters.parked").await, 0);

    let group = parked().await;
    letters::discard(&group.store, head(), "ada", "no", DiscardScope::Chain, None, nobody()).await.unwrap();
    again(&group, &record("1", 1, "bad a")).await;
    assert_eq!(group.count("select count(*) from letters.parked").await, 0);
}

#[tokio::test]
async fn a_batch_locks_all_its_keys_before_it_audits_anything() {
    let group = parked().await;
    let mut session = group.store.pool().acquire().await.unwrap();
    #[expect(clippy::disallowed_methods, reason = "a session that this test holds on to")]
    let mut other = session.begin().await.unwrap();
    sqlx::query("select from letters.parked for update").execute(&mut *other).await.unwrap();
    // One key's letter is written, another key's record is held.
    let fault = Fault::new(Class::Validation, "bad", "it is bad");
    let failed = Turn::Failed { fault: Arc::new(fault), verdict: Verdict::Letter, attempts: 1, report: None };
    let entry = |record, turn| Arc::new(Entry { record: Arc::new(record), turn, span: tracing::Span::none() });
    let batch: Batch<_> = vec![entry(record("2", 5, "bad e"), failed), entry(record("1", 6, "f"), Turn::Arrived)];
    let (commit, audit) = tokio::join!(group.ledger.commit(batch), async {
        let waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        testkit::eventually_eq(std::time::Duration::from_secs(30), 1, async || group.count(waiting).await).await;
        sqlx::query("set local lock_timeout = '200ms'").execute(&mut *other).await.unwrap();
        let audited = sqlx::query("select letters.append_audit('ada', 'test', null, '', null)").execute(&mut *other).await;
        other.rollback().await.unwrap();
        audited
    });
    audit.expect("the batch that waits for the key has not audited anything yet");
    commit.unwrap();
    assert_eq!(group.states().await[3..], states(&[("bad e", "dead"), ("f", "held")]));
}

/// A process that lost its partition tells a failure of what the next one has done.
#[tokio::test]
async fn a_failure_that_is_told_after_the_record_was_done_is_no_letter() {
    let group = Group::new(Parking::Park).await;
    let order = record("1", 1, "a");
    assert_eq!(group.settle(&order).await, "produced");
    group.give_up(&order, Fault::new(Class::Validation, "bad", "it is bad")).await;
    assert!(group.states().await.is_empty());
    assert_eq!(group.count("select count(*) from letters.parked").await, 0);
}

/// Kafka refused an output for good: the record is a letter, and its offset has not moved yet.
#[tokio::test]
async fn what_was_decided_and_is_a_letter_is_the_letters_when_it_is_read_again() {
    let group = Group::new(Parking::Park).await;
    let order = record("1", 1, "a");
    assert!(matches!(group.arrives(&order).await, Next::Act(_)));
    group.give_up(&order, Fault::new(Class::Validation, "kafka_record_refused", "too large")).await;
    assert!(matches!(group.arrives(&order).await, Next::Lettered));
    letters::replay(&group.store, head(), "ada", "the limit is higher now", None, nobody()).await.unwrap();
    assert_eq!(group.settle(&group.drained().await.remove(0)).await, "produced");
    assert_eq!(group.states().await, states(&[("a", "applied")]));
}

/// However it came to be: a letter of what is done ends when somebody tries it again, and those behind it follow.
#[tokio::test]
async fn a_letter_whose_record_is_done_ends_at_its_replay() {
    let group = parked().await;
    let done = "insert into router.decision (grp, ce_id, source, kind, aggregate, state, topic, partition, \"offset\")
                select grp, ce_id, source, kind, aggregate, 'applied', 'in', 0, 1 from letters.letter where state = 'dead'";
    sqlx::query(done).execute(group.store.pool()).await.unwrap();
    letters::replay(&group.store, head(), "ada", "try", None, nobody()).await.unwrap();
    assert_eq!(group.settle(&group.drained().await.remove(0)).await, "done");
    assert_eq!(group.states().await, states(&[("bad a", "applied"), ("b", "replaying"), ("bad c", "replaying")]));
}

#[tokio::test]
async fn a_failure_that_came_while_an_earlier_one_was_published_is_published_as_well() {
    let group = parked().await;
    let before = letters::unpublished(&group.store, 10).await.unwrap().remove(0).letter;
    letters::replay(&group.store, head(), "ada", "try", None, nobody()).await.unwrap();
    assert_eq!(group.settle(&group.drained().await.remove(0)).await, "letter");
    letters::mark_published(&group.store, &before).await.unwrap();
    let again = letters::unpublished(&group.store, 10).await.unwrap().remove(0).letter;
    assert_eq!((again.id, again.attempts), (head(), 2));
    letters::mark_published(&group.store, &again).await.unwrap();
    assert!(letters::unpublished(&group.store, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn only_a_dead_letter_changes_and_only_with_a_reason() {
    let group = parked().await;
    let held = contracts::ids::letter(GROUP, uuid::Uuid::from_u128(2));
    let error = letters::replay(&group.store, held, "ada", "try", None, nobody()).await.unwrap_err();
    assert!(error.to_string().contains("is held, only a dead or waiting letter can be replayed"), "{error}");
    assert!(matches!(letters::replay(&group.store, head(), "ada", " ", None, nobody()).await, Err(LetterError::NoReason)));
    let missing = letters::replay(&group.store, uuid::Uuid::nil(), "ada", "try", None, nobody()).await;
    assert!(matches!(missing, Err(LetterError::NotFound(_))));
}

#[tokio::test]
async fn the_audit_trail_is_a_chain_that_shows_one_changed_byte() {
    let group = parked().await;
    letters::replay(&group.store, head(), "ada", "try", None, nobody()).await.unwrap();
    assert_eq!(letters::verify_audit(&group.store).await.unwrap(), None);
    let shown = letters::get(&group.store, head()).await.unwrap();
    assert_eq!(shown.audit.iter().map(|it| it.verb.as_str()).collect::<Vec<_>>(), ["letter.dead", "letter.replay"]);

    let forge = "update letters.audit set actor = 'eve' where n = 2";
    sqlx::query(forge).execute(group.store.pool()).await.unwrap();
    assert_eq!(letters::verify_audit(&group.store).await.unwrap(), None, "updates do nothing");
    sqlx::query("alter table letters.audit disable rule audit_no_update").execute(group.store.pool()).await.unwrap();
    let forged = sqlx::query("update letters.audit set actor = 'mallory' where n = 2").execute(group.store.pool()).await.unwrap();
    assert_eq!(forged.rows_affected(), 1);
    assert_eq!(letters::verify_audit(&group.store).await.unwrap(), Some(2));
}

#[tokio::test]
async fn letters_are_listed_in_pages() {
    let group = parked().await;
    let first = letters::list(&group.store, &letters::Filter::default(), None, 2).await.unwrap();
    assert_eq!(first.letters.len(), 2);
    let second = letters::list(&group.store, &letters::Filter::default(), first.next, 2).await.unwrap();
    assert_eq!((second.letters.len(), second.next), (1, None));
    let all: std::collections::HashSet<_> = first.letters.iter().chain(&second.letters).map(|it| it.id).collect();
    assert_eq!(all.len(), 3);
    let dead = all.len() - 2;
    let filter = letters::Filter { code: Some("bad".to_owned()), ..letters::Filter::default() };
    let found = letters::list(&group.store, &filter, None, 10).await.unwrap().letters;
    assert_eq!((found.len(), found[0].held), (dead, 2));
}

#[tokio::test]
async fn a_request_is_the_same_for_its_own_letter_only() {
    let group = parked().await;
    assert_eq!(group.settle(&record("3", 5, "bad e")).await, "letter");
    for letter in [head(), letters_id(5), letters_id(5)] {
        let replayed = letters::replay(&group.store, letter, "ada", "try", Some("ticket-1"), nobody()).await.unwrap();
        assert_eq!((replayed.id, replayed.state), (letter, LetterState::Replaying));
    }
    assert_eq!(group.count("select count(*) from letters.audit where verb = 'letter.replay'").await, 2);
}

#[tokio::test]
async fn a_request_that_comes_twice_at_once_is_carried_out_once_and_refused_to_nobody() {
    for _ in 0..testkit::rounds(5, 100) {
        let group = parked().await;
        let replay = || letters::replay(&group.store, head(), "ada", "try", Some("r-1"), nobody());
        let (one, other) = tokio::join!(replay(), replay());
        assert_eq!((one.unwrap().state, other.unwrap().state), (LetterState::Replaying, LetterState::Replaying));
        assert_eq!(group.count("select count(*) from letters.audit where verb = 'letter.replay'").await, 1);
    }
}

/// Nothing is held where the latest wins, and no key stays parked behind letters that a later record has ended.
#[tokio::test]
async fn a_key_whose_letters_were_superseded_is_parked_no_more() {
    let group = Group::new(Parking::LatestWins).await;
    for id in [1, 2] {
        assert_eq!(group.settle(&record("1", id, "bad a")).await, "letter");
    }
    group.script.repaired.store(true, Ordering::Relaxed);
    letters::replay(&group.store, letters_id(1), "ada", "mended", None, nobody()).await.unwrap();
    assert_eq!(group.settle(&group.drained().await.remove(0)).await, "produced");
    assert_eq!(group.count("select count(*) from letters.parked").await, 1, "behind the second");
    assert_eq!(group.settle(&record("1", 3, "good")).await, "produced");
    let states = group.states().await;
    assert_eq!(states.iter().map(|it| it.1.as_str()).collect::<Vec<_>>(), ["applied", "superseded"]);
    assert_eq!(group.count("select count(*) from letters.parked").await, 0);
}
