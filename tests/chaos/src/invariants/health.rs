//! What processes use, write and say of themselves.

use std::time::Duration;

use tokio::time::sleep;

use super::{Evidence, Finding, finding};

pub(super) async fn resources_return(of: &Evidence<'_>) -> Finding {
    let mut wrong = Vec::new();
    for (name, before, after) in &of.resources {
        let grown = |what: &str, before: u64, after: u64, slack: u64| {
            (after > before + before / 10 + slack).then(|| format!("{name}: {after} {what}, {before} at the beginning"))
        };
        wrong.extend(grown("threads", before.threads, after.threads, 4));
        // Connections are kept for whoever needs one next: by the door up to 64 to a shop and ten to PostgreSQL.
        let kept = if name.starts_with("storefront-ingest") { 80 } else { 48 };
        wrong.extend(grown("open files", before.files, after.files, kept));
        wrong.extend(grown("MB resident", before.megabytes, after.megabytes, 64));
    }
    let open = left_open(of).await;
    if open > 0 {
        wrong.push(format!("{open} sessions are idle in a transaction"));
    }
    let largest = of.resources.iter().map(|(_, _, after)| after.megabytes).max().unwrap_or_default();
    finding(format!("{largest} MB the largest"), wrong)
}

/// Sessions idle in a transaction. One that works may be seen between two of its statements; one that was left open is so at
/// every look.
async fn left_open(of: &Evidence<'_>) -> i64 {
    let sql = "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'";
    let mut open = of.it.count(sql).await;
    for _ in 0..LOOKS {
        if open == 0 {
            break;
        }
        sleep(Duration::from_secs(1)).await;
        open = of.it.count(sql).await;
    }
    open
}

const LOOKS: usize = 20;

/// What a service says of a panic, and the standard library of one before that; every address that the shop's payloads draw is of
/// this domain; the others are the doubles' secrets.
const NEVER: [&str; 6] =
    ["a bug in our code", "panicked at", "@example.com", "sandbox-signing-secret", "sandbox-access-token", "adapter-of-the-sandbox"];

pub(super) async fn words_are_clean(of: &Evidence<'_>) -> Finding {
    let mut wrong = Vec::new();
    for (name, log) in of.logs {
        let lines = log.lines().filter(|line| NEVER.iter().any(|it| line.contains(it)));
        wrong.extend(lines.take(3).map(|line| format!("{name}: {line}")));
    }
    let told = told(of).await.map_err(|error| vec![error.to_string()])?;
    let words = told.iter().filter(|text| NEVER.iter().any(|it| text.contains(it)));
    wrong.extend(words.take(3).map(|text| format!("the database: {text}")));
    let lines: usize = of.logs.iter().map(|(_, log)| log.lines().count()).sum();
    finding(format!("{lines} lines, {} letters and deeds", told.len()), wrong)
}

/// What operators are shown of letters and of what was done with them.
async fn told(of: &Evidence<'_>) -> Result<Vec<String>, sqlx::Error> {
    let sql = "select concat_ws(' ', code, message, array_to_string(causes, ' ')) from letters.letter
               union all select concat_ws(' ', verb, detail) from letters.audit";
    sqlx::query_scalar(sql).fetch_all(of.it.store.pool()).await
}

pub(super) fn health_is_told(of: &Evidence<'_>) -> Finding {
    finding("", of.health.clone())
}
