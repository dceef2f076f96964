//! A connection's settings. The access token is read when the connection opens, and a change of it takes a restart; signing
//! secrets are read again when their files change.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use http::{HeaderValue, Uri};
use http_kit::client::{Allowed, Settings as HttpSettings};
use http_kit::{SecretFiles, Secrets};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use crate::client::GraphQl;
use crate::wire;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Its *.myshopify.com name.
    shop: String,
    /// Where the Admin API is, when it is not at the shop's own name: a sandbox.
    api_url: Option<String>,
    #[serde(default = "api_version")]
    api_version: String,
    access_token_file: PathBuf,
    /// The app's client secret; during a rotation the new one first, then the old one, in a file of its own or on a line of its own.
    #[serde(default)]
    webhook_secret_files: Vec<PathBuf>,
    /// Hosts, addresses and networks of `api_url` that may be private, and plain http.
    #[serde(default)]
    allow_private: Vec<String>,
    /// The door as Shopify reaches it, with the connection's name: subscriptions to it are watched over.
    callback_url: Option<String>,
    /// Shopify's topics that are subscribed to there.
    #[serde(default = "webhook_topics")]
    webhook_topics: Vec<String>,
    /// Shown in the shop's history of a stock level: why it changed, and a URI of what changed it.
    #[serde(default = "stock_reason")]
    stock_reason: String,
    #[serde(default = "stock_reference")]
    stock_reference: String,
}

fn api_version() -> String {
    "2026-07".to_owned()
}

/// What the mapper maps or asks about.
fn webhook_topics() -> Vec<String> {
    const TOPICS: [&str; 9] = [
        "orders/create",
        "orders/updated",
        "orders/paid",
        "orders/cancelled",
        "orders/edited",
        "orders/delete",
        "refunds/create",
        "customers/create",
        "customers/update",
    ];
    TOPICS.map(str::to_owned).to_vec()
}

fn stock_reason() -> String {
    "correction".to_owned()
}

fn stock_reference() -> String {
    "tradewind://inventory-sync/availability".to_owned()
}

/// Settings that were found usable.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) secrets: SecretFiles,
    pub(crate) stock: StockConfig,
    /// `None`: nobody watches over the subscriptions.
    pub(crate) wanted: Option<Wanted>,
    endpoint: String,
    token: HeaderValue,
    allow_private: Vec<Allowed>,
}

/// Which webhooks shall be sent where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) url: String,
    pub(crate) topics: BTreeSet<String>,
}

/// What stock changes are explained by.
#[derive(Debug, Clone)]
pub(crate) struct StockConfig {
    pub(crate) reason: String,
    pub(crate) reference: String,
}

impl Config {
    /// The error says what to do.
    pub(crate) fn read(settings: &Value) -> Result<Self, String> {
        let settings: Settings = serde_path_to_error::deserialize(settings).map_err(|error| {
            let what = wire::expected(&error.inner().to_string());
            let path = error.path().to_string();
            if path == "." { what } else { format!("`{path}`: expected {what}") }
        })?;
        let allow_private = settings.allow_private.iter().map(|it| it.parse::<Allowed>().map_err(|error| error.to_string()));
        let allow_private = allow_private.collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            endpoint: endpoint(&settings, &allow_private)?,
            token: token(&settings.access_token_file)?,
            secrets: secrets(&settings.webhook_secret_files)?,
            wanted: wanted(settings.callback_url.as_deref(), &settings.webhook_topics)?,
            stock: StockConfig { reason: settings.stock_reason, reference: settings.stock_reference },
            allow_private,
        })
    }

    pub(crate) fn client(&self) -> Result<GraphQl, String> {
        let http = HttpSettings { allow_private: self.allow_private.clone(), ..HttpSettings::default() };
        let http = http_kit::Client::new(&http).map_err(|error| error.to_string())?;
        Ok(GraphQl::new(http, self.endpoint.clone(), self.token.clone()))
    }
}

fn endpoint(settings: &Settings, allow_private: &[Allowed]) -> Result<String, String> {
    let version = &settings.api_version;
    let is_version =
        version.len() == 7 && version.bytes().enumerate().all(|(at, it)| if at == 4 { it == b'-' } else { it.is_ascii_digit() });
    if !is_version && version != "unstable" {
        return Err(format!("`api_version` is `{version}`; write it like 2026-07"));
    }
    let base = match &settings.api_url {
        Some(url) => checked_url(url, allow_private)?,
        None => format!("https://{}", checked_shop(&settings.shop)?),
    };
    Ok(format!("{base}/admin/api/{version}/graphql.json"))
}

fn checked_shop(shop: &str) -> Result<&str, String> {
    let name = shop.strip_suffix(".myshopify.com").unwrap_or_default();
    let is_name = !name.is_empty() && name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-');
    if is_name { Ok(shop) } else { Err(format!("`shop` is `{shop}`; write the shop's own name, like example.myshopify.com")) }
}

fn checked_url(url: &str, allow_private: &[Allowed]) -> Result<String, String> {
    // It is not repeated: a password may stand in it.
    let wrong = |what: &str| format!("`api_url`: {what}");
    let parsed: Uri = url.parse().map_err(|_| wrong("write it like https://example.myshopify.com"))?;
    let (Some(scheme), Some(authority)) = (parsed.scheme_str(), parsed.authority()) else {
        return Err(wrong("write it like https://example.myshopify.com"));
    };
    if authority.as_str().contains('@') || !matches!(parsed.path(), "" | "/") || parsed.query().is_some() {
        return Err(wrong("leave out what is not scheme, host and port"));
    }
    match scheme {
        "https" => {}
        "http" if is_allowed(authority.host(), allow_private) => {}
        "http" => return Err(wrong("use https, or name its host in `allow_private`")),
        _ => return Err(wrong("use https")),
    }
    Ok(format!("{scheme}://{authority}"))
}

/// Shopify sends to http as well, and takes a body on its way for granted; a sandbox does not mind.
fn wanted(url: Option<&str>, topics: &[String]) -> Result<Option<Wanted>, String> {
    let is_topic = |it: &str| {
        let word = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_lowercase() || it == b'_');
        it.split_once('/').is_some_and(|(object, event)| word(object) && word(event))
    };
    if let Some(topic) = topics.iter().find(|it| !is_topic(it)) {
        return Err(format!("`webhook_topics` has `{topic}`; write topics like orders/create"));
    }
    let Some(url) = url else { return Ok(None) };
    let parsed: Option<Uri> = url.parse().ok();
    let is_url =
        parsed.as_ref().is_some_and(|it| matches!(it.scheme_str(), Some("https" | "http")) && it.path().len() > 1 && it.query().is_none());
    if !is_url {
        // It is not repeated: a password may stand in it.
        let what = "write the door as Shopify reaches it, like https://hooks.example.com/webhooks/shop-eu";
        return Err(format!("`callback_url`: {what}"));
    }
    Ok(Some(Wanted { url: url.to_owned(), topics: topics.iter().cloned().collect() }))
}

fn is_allowed(host: &str, allow_private: &[Allowed]) -> bool {
    let ip: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
    allow_private.iter().any(|it| match it {
        Allowed::Host(name) => name.eq_ignore_ascii_case(host),
        Allowed::Net(net) => ip.is_some_and(|ip| net.contains(&ip)),
    })
}

fn token(file: &Path) -> Result<HeaderValue, String> {
    let token = secret(file, "access_token_file")?;
    let text = token.expose_secret().trim();
    if text.is_empty() {
        return Err(format!("`access_token_file` {} is empty: write the app's Admin API access token into it", file.display()));
    }
    let value = HeaderValue::from_str(text);
    let mut value = value.map_err(|_| format!("`access_token_file` {} has more in it than one line with the token", file.display()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn secrets(files: &[PathBuf]) -> Result<SecretFiles, String> {
    if files.is_empty() {
        return Err(
            "`webhook_secret_files` names no file: put the app's client secret into a file and name it there; unsigned webhooks are not \
                    let in"
                .to_owned(),
        );
    }
    if files.len() > Secrets::MAX {
        return Err(format!(
            "`webhook_secret_files` names {} files: at most the current secret and the next one may be active, retire the others",
            files.len()
        ));
    }
    SecretFiles::open(files.to_vec()).map_err(|error| format!("`webhook_secret_files`: {error}"))
}

fn secret(file: &Path, setting: &str) -> Result<SecretString, String> {
    let read = std::fs::read_to_string(file);
    read.map(SecretString::from).map_err(|error| format!("`{setting}`: {} cannot be read: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn files() -> (tempfile::TempDir, Value) {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let settings = json!({
            "shop": "example.myshopify.com",
            "access_token_file": file("token", "shpat_1\n"),
            "webhook_secret_files": [file("secret", "shpss_1\n")],
        });
        file("empty", "\n");
        (folder, settings)
    }

    /// The message after `change` to good settings.
    fn refused(change: impl FnOnce(&mut Value, &str)) -> String {
        let (folder, mut settings) = files();
        change(&mut settings, &folder.path().join("empty").display().to_string());
        Config::read(&settings).unwrap_err()
    }

    #[test]
    fn the_least_settings_are_enough() {
        let (_folder, settings) = files();
        let config = Config::read(&settings).unwrap();
        assert_eq!(config.endpoint, "https://example.myshopify.com/admin/api/2026-07/graphql.json");
        assert!(config.token.is_sensitive());
        assert!(!format!("{config:?}").contains("shp"), "no secret is shown");
    }

    #[test]
    fn without_a_secret_the_connection_does_not_open() {
        assert!(refused(|it, _| it["webhook_secret_files"] = json!([])).contains("names no file"));
        assert!(refused(|it, empty| it["webhook_secret_files"] = json!([empty])).contains("is empty"));
        assert!(refused(|it, _| it["webhook_secret_files"] = json!(["/no/such/file"])).contains("/no/such/file cannot be read"));
        assert!(refused(|it, empty| it["webhook_secret_files"] = json!([empty, empty, empty])).contains("names 3 files"));
        assert!(refused(|it, empty| it["access_token_file"] = json!(empty)).contains("is empty"));
    }

    #[test]
    fn a_slip_is_named_and_its_value_is_not_repeated() {
        assert!(refused(|it, _| it["shpo"] = json!("x")).contains("`shpo`"));
        let inline = refused(|it, _| it["webhook_secret_files"] = json!("shpss_hush"));
        assert!(inline.contains("`webhook_secret_files`") && !inline.contains("hush"), "{inline}");
        assert!(refused(|it, _| it["shop"] = json!("https://example.com")).contains("example.myshopify.com"));
        assert!(refused(|it, _| it["api_version"] = json!("latest")).contains("2026-07"));
        assert!(refused(|it, _| it["allow_private"] = json!(["http://x"])).contains("allow_private"));
        let missing = refused(|it, _| drop(it.as_object_mut().unwrap().remove("shop")));
        assert!(missing.contains("`shop`"), "{missing}");
    }

    #[test]
    fn subscriptions_are_watched_where_the_settings_name_an_address() {
        let (_folder, mut settings) = files();
        assert_eq!(Config::read(&settings).unwrap().wanted, None);
        settings["callback_url"] = json!("https://hooks.example.com/webhooks/shop-eu");
        let wanted = Config::read(&settings).unwrap().wanted.unwrap();
        assert!(wanted.topics.contains("orders/create") && wanted.topics.contains("customers/update"));
        for bad in ["hooks.example.com/webhooks/shop-eu", "https://hooks.example.com", "ftp://hooks.example.com/x", "https://h/x?y=1"] {
            assert!(refused(|it, _| it["callback_url"] = json!(bad)).contains("`callback_url`"), "{bad}");
        }
        assert!(refused(|it, _| it["webhook_topics"] = json!(["ORDERS_CREATE"])).contains("orders/create"));
    }

    #[test]
    fn plain_http_is_for_hosts_that_are_named() {
        assert!(refused(|it, _| it["api_url"] = json!("http://127.0.0.1:9000")).contains("allow_private"));
        let with_password = refused(|it, _| it["api_url"] = json!("https://user:word@example.com"));
        assert!(with_password.contains("leave out") && !with_password.contains("word"), "{with_password}");
        let (_folder, mut settings) = files();
        settings["api_url"] = json!("http://127.0.0.1:9000/");
        settings["allow_private"] = json!(["127.0.0.1"]);
        assert_eq!(Config::read(&settings).unwrap().endpoint, "http://127.0.0.1:9000/admin/api/2026-07/graphql.json");
    }
}
