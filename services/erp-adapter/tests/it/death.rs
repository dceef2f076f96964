//! A process that dies at any boundary: before or after a commit, before or after a request. Whoever comes next brings each
//! command to its end, once.

use std::time::Duration;

use connector::erp::Guarantee;
use store::{Store, StoreSettings};

use super::erp::{FakeErp, Fate};
use super::rig::{Fuse, World, order, order_of};

/// Returns false when the process lived to the end.
async fn dies_at(store: Store, boundary: usize, guarantee: Guarantee) -> bool {
    let erp = FakeErp::new(guarantee).with_customers();
    let mut world = World::at(store, &format!("erp-{boundary}"), erp);
    world.settings.lease = Duration::from_millis(300);
    world.erp.script("2", "create", &[Fate::AnswerLost]);
    for id in ["1", "2"] {
        world.send(&order_of(id, "new@example.com"), "place", 1);
        world.send(&order(id), "revise", 2);
    }
    let fuse = Fuse::after(boundary);
    let process = world.start_with(fuse.clone());
    let has_died = tokio::select! {
        () = fuse.dead.notified() => true,
        () = process.until_settled(4) => false,
    };
    process.kill().await;
    let next = world.start();
    next.until_settled(4).await;

    let booked = world.erp.booked();
    for id in ["1", "2"] {
        let of_order: Vec<_> = booked.iter().filter(|it| it.starts_with(id)).cloned().collect();
        assert_eq!(of_order, ["create", "confirm", "rewrite"].map(|it| format!("{id} {it}")), "died at {boundary}, {guarantee:?}");
    }
    assert_eq!(world.erp.parties(), ["new@example.com"], "died at {boundary}, {guarantee:?}");
    assert_eq!(world.applied(), 4, "died at {boundary}, {guarantee:?}");
    assert_eq!(world.letters().await, []);
    has_died
}

async fn dies_everywhere(guarantee: Guarantee) {
    let settings = StoreSettings { connections_max: 40, ..StoreSettings::new(testkit::database().await) };
    let store = Store::open(&settings).await.unwrap();
    let mut deaths = 0;
    for first in (1..).step_by(8) {
        let lives = (first..first + 8).map(|boundary| dies_at(store.clone(), boundary, guarantee));
        let died = futures_util::future::join_all(lives).await.into_iter().filter(|it| *it).count();
        deaths += died;
        if died < 8 {
            break;
        }
    }
    assert!(deaths >= 30, "it died at only {deaths} boundaries");
}

#[tokio::test]
async fn at_every_boundary_where_only_looking_can_tell() {
    dies_everywhere(Guarantee::Lookup).await;
}

#[tokio::test]
async fn at_every_boundary_where_the_target_refuses_a_second_one() {
    dies_everywhere(Guarantee::Unique).await;
}

#[tokio::test]
async fn at_every_boundary_where_the_target_knows_its_keys() {
    dies_everywhere(Guarantee::IdempotencyKey).await;
}

#[tokio::test]
async fn at_every_boundary_where_writing_twice_is_writing_once() {
    dies_everywhere(Guarantee::Upsert).await;
}
