//! The servers themselves: what other tests take for granted.

use std::process::{Command, Stdio};
use std::time::Duration;

use sqlx::{Connection as _, PgConnection};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_killed_server_comes_back_with_its_data_and_its_address() {
    let server = testkit::own::postgres().await;
    let mut connection = PgConnection::connect(&server.url).await.unwrap();
    sqlx::query("create table kept (id int)").execute(&mut connection).await.unwrap();
    server.kill().await;
    assert!(PgConnection::connect(&server.url).await.is_err());
    server.start().await;
    let mut connection = PgConnection::connect(&server.url).await.unwrap();
    sqlx::query("select id from kept").fetch_all(&mut connection).await.unwrap();
}

#[tokio::test]
async fn a_frozen_server_answers_when_it_is_thawed() {
    let server = testkit::own::postgres().await;
    let mut connection = PgConnection::connect(&server.url).await.unwrap();
    server.freeze();
    let mut query = Box::pin(sqlx::query("select 1").execute(&mut connection));
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut query).await.is_err());
    server.thaw();
    tokio::time::timeout(SOON, query).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_end_takes_the_server_and_its_folder_along() {
    let server = testkit::own::postgres().await;
    let (url, folder) = (server.url.clone(), server.folder());
    drop(server);
    assert!(PgConnection::connect(&url).await.is_err());
    assert!(!folder.exists());
}

/// Whoever starts what still runs has it from then on: the end of the one before takes nothing away.
#[tokio::test]
async fn a_server_ends_with_its_last_owner() {
    let server = testkit::own::postgres().await;
    let script = testkit::repository().join("deploy/local/postgres.sh");
    let run = |verb: &str, owner: u32| {
        let status = Command::new(&script).arg(verb).arg(server.folder()).env("OWNER", owner.to_string()).stdout(Stdio::null()).status();
        assert!(status.unwrap().success());
    };
    let mut next = Command::new("sleep").arg("60").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    run("start", next.id());
    run("stop", std::process::id());
    PgConnection::connect(&server.url).await.unwrap();
    next.kill().unwrap();
    next.wait().unwrap();
    testkit::eventually_eq(SOON, true, async || PgConnection::connect(&server.url).await.is_err()).await;
}

#[tokio::test]
async fn tryton_comes_with_the_ids_of_its_seed() {
    let Some(tryton) = testkit::tryton().await else { return };
    assert!(tryton.url.starts_with("http://127.0.0.1:") && tryton.url.ends_with("/rpc/"), "{}", tryton.url);
    assert!(tryton.ids["products"]["MUG-RED"].is_i64());
    assert!(tryton.rest_key().len() > 20);
}

#[tokio::test]
async fn kafka_has_one_address_per_run() {
    let Some(brokers) = testkit::kafka().await else { return };
    assert_eq!(testkit::kafka().await, Some(brokers.clone()));
    tokio::net::TcpStream::connect(brokers).await.unwrap();
}
