//! On the broker that lives in the process, as `tradewind dev` has it.

use bus::embedded::Embedded;
use http::header::RETRY_AFTER;
use service_kit::{Exit, Life};
use testkit::eventually;

use super::rig::{Rig, SOON, hasty, platforms, table};

async fn embedded() -> (Embedded, Rig) {
    let names = table().into_iter().map(|it| (format!("t.{}", it.name), 2)).collect();
    let broker = Embedded::start(names).unwrap();
    let rig = Rig::with(broker.settings("t."), testkit::database().await, hasty()).await;
    (broker, rig)
}

/// It forgets what it can't hold, so nothing is acked that it might forget.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_broker_sends_deliveries_back_until_there_is_room() {
    let (_broker, rig) = embedded().await;
    let running = rig.start().await;
    let body = vec![b' '; 3 << 20];
    let refused = eventually(SOON, async || {
        let answer = rig.deliver(&testkit::prefix(), body.clone()).await;
        if answer.status == 503 { Ok(answer) } else { Err(answer.status) }
    });
    let refused = refused.await;
    assert_eq!(refused.headers[RETRY_AFTER], "5");
    assert!(String::from_utf8_lossy(&refused.body).contains("embedded_broker_full"));
    eventually(SOON, async || {
        let status = rig.deliver("small", "{}").await.status;
        if status == 200 { Ok(()) } else { Err(status) }
    })
    .await;
    eventually(SOON, async || {
        let dead = rig.count("select count(*) from letters.letter where octet_length(value) = 2").await;
        if dead == 1 { Ok(()) } else { Err(dead) }
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn settings_of_which_no_client_can_be_made_are_wrong_settings() {
    let (_broker, rig) = embedded().await;
    let mut settings = rig.settings();
    settings.bus.properties.insert("no.such.property".to_owned(), "1".into());
    let error = storefront_ingest::run(settings, platforms(), Life::default()).await.unwrap_err();
    assert_eq!(Exit::of(&error), Exit::Settings, "{error:#}");
}
