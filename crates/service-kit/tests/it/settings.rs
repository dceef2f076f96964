use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use service_kit::settings::{Error, Loaded, load_from, shown};
use service_kit::{SecretFile, Validate};

const DEFAULTS: &str = r#"
grace = "20s"

[bus]
brokers = "localhost:9092"
linger = "3ms"
"#;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(with = "humantime_serde")]
    grace: Duration,
    bus: Bus,
    password_file: Option<SecretFile>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bus {
    brokers: String,
    client_id: Option<String>,
    retries: Option<u32>,
    topics: Option<Vec<String>>,
    #[serde(with = "humantime_serde")]
    linger: Duration,
    #[serde(default)]
    properties: BTreeMap<String, String>,
}

impl Validate for Settings {
    fn validate(&self) -> Result<(), Vec<String>> {
        let mut problems = Vec::new();
        if self.bus.brokers.is_empty() {
            problems.push("bus.brokers is empty".to_owned());
        }
        if self.grace > Duration::from_secs(60) {
            problems.push("grace is longer than a minute".to_owned());
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

fn load(file: &str, variables: &[(&str, &str)]) -> Result<Loaded<Settings>, Error> {
    let mut on_disk = tempfile::Builder::new().prefix("tradewind").suffix(".toml").tempfile().unwrap();
    on_disk.write_all(file.as_bytes()).unwrap();
    load_from(DEFAULTS, Some(on_disk.path()), "TRADEWIND", variables.iter().copied())
}

fn error(file: &str, variables: &[(&str, &str)]) -> String {
    load(file, variables).unwrap_err().to_string()
}

fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn the_file_wins_over_defaults_and_the_environment_over_both() {
    let file = "grace = '5s'\n[bus]\nbrokers = 'file:1'\nretries = 3\n[bus.properties]\n'ssl.ca.location' = '/ca.pem'";
    let settings = load(file, &[("TRADEWIND__BUS__BROKERS", "env:2"), ("PATH", "/bin"), ("TRADEWIND_LOCAL", "/x")]).unwrap().settings;
    assert_eq!(settings.grace, Duration::from_secs(5));
    assert_eq!(settings.bus.brokers, "env:2");
    assert_eq!(settings.bus.linger, Duration::from_millis(3), "a table in the file does not empty the one in the defaults");
    assert_eq!(settings.bus.retries, Some(3));
    assert_eq!(settings.bus.properties["ssl.ca.location"], "/ca.pem");
}

#[test]
fn a_variable_is_read_as_what_its_key_needs() {
    let variables = [
        ("TRADEWIND__BUS__BROKERS", "9092"),
        ("TRADEWIND__BUS__RETRIES", "7"),
        ("TRADEWIND__BUS__CLIENT_ID", "42"),
        ("TRADEWIND__BUS__TOPICS", r#"["a", "b"]"#),
        ("TRADEWIND__BUS__LINGER", "5ms"),
    ];
    let bus = load("", &variables).unwrap().settings.bus;
    assert_eq!((bus.brokers.as_str(), bus.retries, bus.client_id.as_deref()), ("9092", Some(7), Some("42")));
    assert_eq!(bus.topics.unwrap(), ["a", "b"]);
    assert_eq!(bus.linger, Duration::from_millis(5));
}

#[test]
fn an_unknown_key_is_named_with_its_file_and_line() {
    let text = error("grace = '5s'\n\n[bus]\nbrokerz = 'x'\n", &[]);
    assert_says(&text, &[".toml line 4", "`bus.brokerz`", "unknown field", "`brokers`", "--print-defaults"]);
    let text = error("[buss]\nbrokers = 'x'\n", &[]);
    assert_says(&text, &[".toml line 1", "`buss`"]);
}

#[test]
fn an_unknown_variable_is_named() {
    assert_says(&error("", &[("TRADEWIND__BUS__BROKERZ", "x")]), &["environment variable TRADEWIND__BUS__BROKERZ", "`bus.brokerz`"]);
    assert_says(&error("", &[("TRADEWIND__GRACE__X", "1")]), &["TRADEWIND__GRACE__X", "not a table"]);
    assert_says(&error("", &[("TRADEWIND__BUS____X", "1")]), &["TRADEWIND__BUS____X", "empty part"]);
}

#[test]
fn a_wrong_value_is_named_with_its_place() {
    assert_says(&error("[bus]\nretries = 'many'\n", &[]), &["line 2", "`bus.retries`", "many"]);
    assert_says(&error("[bus]\ntopics = [\n'a',\n7]\n", &[]), &["line 4", "`bus.topics[1]`"]);
    assert_says(&error("grace = 'soon'\n", &[]), &["line 1", "`grace`"]);
    assert_says(&error("", &[("TRADEWIND__GRACE", "soon")]), &["environment variable TRADEWIND__GRACE", "`grace`"]);
    assert_says(&error("a = 1\nb = = 2\n", &[]), &["line 2", "not TOML"]);
}

#[test]
fn a_missing_key_says_how_to_set_it() {
    let error = load_from::<Settings, _, _>("grace = '1s'\n[bus]\nlinger = '1ms'", None, "TRADEWIND", [("A", "B")]).unwrap_err();
    assert_says(&error.to_string(), &["`bus.brokers` is not set", "TRADEWIND__BUS__BROKERS"]);
    let error = load_from::<Settings, _, _>("", None, "TRADEWIND", [("A", "B")]).unwrap_err();
    assert_says(&error.to_string(), &["is not set", "TRADEWIND__"]);
}

#[test]
fn validation_says_all_problems_at_once() {
    assert_says(&error("grace = '2m'\n[bus]\nbrokers = ''", &[]), &["bus.brokers is empty", "grace is longer than a minute"]);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let missing = load_from::<Settings, _, _>(DEFAULTS, Some("/no/such.toml".as_ref()), "TRADEWIND", [("A", "B")]).unwrap_err();
    assert_says(&missing.to_string(), &["/no/such.toml", "is the path right?"]);
}

#[test]
fn no_secret_is_ever_printed() {
    // As a value, as a path that is none, in a URL, in a broken line, and where a number is expected.
    let secret = "hunter2";
    let loaded = load(
        "password_file = '/run/secrets/hunter2'\n[bus]\nclient_id = 'http://me:hunter2@host/x'\n[bus.properties]\n'sasl.password' = 'hunter2'\n",
        &[],
    )
    .unwrap();
    let settings = loaded.settings;
    for text in [shown(&settings), format!("{:?} {}", settings.password_file, settings.password_file.as_ref().unwrap())] {
        assert!(!text.contains(secret), "{text}");
        assert!(text.contains("***"), "{text}");
    }
    for text in [
        error("password_file = 'hunter2'", &[]),
        error("password_file = ['hunter2']", &[]),
        error("password_file = 'hunter2", &[]),
        error("[bus]\nretries = 'http://me:hunter2@host'", &[]),
        error("[bus.properties]\n'sasl.password' = ['hunter2']", &[]),
        error("", &[("TRADEWIND__PASSWORD_FILE", "hunter2")]),
    ] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[test]
fn a_secret_in_the_environment_is_warned_of_and_the_name_of_a_file_is_not() {
    let warnings = |name, value| load("", &[(name, value)]).unwrap().warnings;
    assert!(warnings("TRADEWIND__PASSWORD_FILE", "/run/secrets/x").is_empty());
    assert!(warnings("TRADEWIND__BUS__BROKERS", "kafka:9092").is_empty());
    for (name, value) in [("TRADEWIND__BUS__PROPERTIES__SASL_PASSWORD", "hunter2"), ("TRADEWIND__BUS__BROKERS", "x://me:hunter2@kafka")] {
        let [warning] = &warnings(name, value)[..] else { panic!("no warning of {name}") };
        assert!(warning.contains(name) && !warning.contains("hunter2"), "{warning}");
    }
}
