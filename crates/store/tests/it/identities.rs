use sqlx::{Connection as _, PgConnection};
use store::effects::Findings;
use store::effects::identities::{Claimed, Wanted, claim, confirm};
use store::{Store, StoreSettings};

async fn store() -> Store {
    Store::open(&StoreSettings::new(testkit::database().await)).await.unwrap()
}

/// Each of these wants the same customer, in one transaction.
async fn claimed(store: &Store, op_keys: &'static [&'static str]) -> Vec<Claimed> {
    let claimed = store.transaction(move |tx| {
        Box::pin(async move {
            let wanted: Vec<_> = op_keys.iter().map(|op_key| wanted(op_key)).collect();
            claim(tx, "erp-main", &wanted).await
        })
    });
    claimed.await.unwrap()
}

fn wanted(op_key: &str) -> Wanted<'_> {
    Wanted { kind: "customer", match_key: "new@example.com", op_key }
}

#[tokio::test]
async fn of_several_who_want_one_identity_one_has_it() {
    let store = store().await;
    assert_eq!(claimed(&store, &["a", "b"]).await, [Claimed::Ours, Claimed::Taken]);
    assert_eq!(claimed(&store, &["b"]).await, [Claimed::Taken]);
}

#[tokio::test]
async fn its_holder_goes_on_wherever_it_stands_among_those_that_wait() {
    let store = store().await;
    claimed(&store, &["a"]).await;
    assert_eq!(claimed(&store, &["b", "a", "c"]).await, [Claimed::Taken, Claimed::Ours, Claimed::Taken]);
}

/// `a` finds or creates it.
async fn learn(store: &Store) -> Findings {
    claimed(store, &["a"]).await;
    let learned = Findings::from([("party".to_owned(), "7".to_owned())]);
    let found = learned.clone();
    let confirmed = store.transaction(move |tx| Box::pin(async move { confirm(tx, "erp-main", &[(wanted("a"), &found)]).await }));
    confirmed.await.unwrap();
    learned
}

#[tokio::test]
async fn what_the_holder_learned_is_known_to_all() {
    let store = store().await;
    let learned = learn(&store).await;
    assert_eq!(claimed(&store, &["b", "c"]).await, [Claimed::Known(learned.clone()), Claimed::Known(learned)]);
}

/// People merge, delete and rename what we once found.
#[tokio::test]
async fn what_was_learned_long_ago_is_looked_for_again() {
    let store = store().await;
    learn(&store).await;
    sqlx::query("update effects.identity set found_at = now() - interval '11 minutes'").execute(store.pool()).await.unwrap();
    assert_eq!(claimed(&store, &["b", "c"]).await, [Claimed::Ours, Claimed::Taken]);
    let other = Findings::from([("party".to_owned(), "8".to_owned())]);
    let found = other.clone();
    let confirmed = store.transaction(move |tx| Box::pin(async move { confirm(tx, "erp-main", &[(wanted("b"), &found)]).await }));
    confirmed.await.unwrap();
    assert_eq!(claimed(&store, &["c"]).await, [Claimed::Known(other)]);
}

/// Its request is in doubt, so that its claim outlives its time: until nobody will look into it any more.
#[tokio::test]
async fn a_doubt_that_was_given_up_keeps_nobody_waiting() {
    let store = store().await;
    claimed(&store, &["a"]).await;
    for sql in [
        "insert into effects.effect (target, op_key, ce_id, aggregate, operation, seq, state)
         values ('erp-main', 'a', '00000000-0000-0000-0000-000000000001', 'shop/order/1', 'place_order', 1, 'in_flight')",
        "insert into effects.effect_step (target, op_key, step, state, owner, fence, lease_until)
         values ('erp-main', 'a', 'customer', 'unknown', gen_random_uuid(), 2, now())",
        "insert into letters.letter (id, grp, ce_id, source, kind, aggregate, state, origin_topic, origin_partition, origin_offset,
           origin_time_ms, key, value, headers, retry_at)
         values (gen_random_uuid(), 'erp-adapter-erp-main', '00000000-0000-0000-0000-000000000001', 'shop', 'order', 'shop/order/1', 'waiting',
           'commands', 0, 0, 0, '', '', '', now() + interval '1 hour')",
        "update effects.identity set claimed_until = now() - interval '1 second'",
    ] {
        sqlx::query(sql).execute(store.pool()).await.unwrap();
    }
    assert_eq!(claimed(&store, &["b"]).await, [Claimed::Taken], "it will be tried again");
    sqlx::query("update letters.letter set state = 'discarded', retry_at = null").execute(store.pool()).await.unwrap();
    assert_eq!(claimed(&store, &["b"]).await, [Claimed::Ours]);
}

#[tokio::test]
async fn who_asks_for_what_is_known_keeps_nobody_waiting() {
    let url = testkit::database().await;
    let learned = learn(&Store::open(&StoreSettings::new(&url)).await.unwrap()).await;
    let (mut one, mut other) = (PgConnection::connect(&url).await.unwrap(), PgConnection::connect(&url).await.unwrap());
    sqlx::query("set lock_timeout = '10ms'").execute(&mut other).await.unwrap();
    for (tx, op_key) in [(&mut one, "b"), (&mut other, "c")] {
        // Neither ends before the other has asked.
        sqlx::query("begin").execute(&mut *tx).await.unwrap();
        assert_eq!(claim(tx, "erp-main", &[wanted(op_key)]).await.unwrap(), [Claimed::Known(learned.clone())]);
    }
}
