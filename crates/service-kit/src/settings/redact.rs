//! What nobody may see.

use serde::Serialize;
use toml::Value;

/// In place of a secret.
pub(super) const HIDDEN: &str = "***";

/// Settings as TOML, secrets hidden: by type where the type knows, and otherwise by the name of the key and the form of the value.
pub fn shown<T: Serialize>(settings: &T) -> String {
    match Value::try_from(settings) {
        Ok(mut value) => {
            hide(&mut value, false);
            toml::to_string_pretty(&value).unwrap_or_else(|error| format!("# the settings can't be shown: {error}\n"))
        }
        Err(error) => format!("# the settings can't be shown: {error}\n"),
    }
}

fn hide(value: &mut Value, is_secret: bool) {
    match value {
        Value::Table(table) => table.iter_mut().for_each(|(key, value)| hide(value, is_secret || is_secret_name(key))),
        Value::Array(values) => values.iter_mut().for_each(|value| hide(value, is_secret)),
        Value::String(text) if is_secret => HIDDEN.clone_into(text),
        Value::String(text) => *text = without_passwords(text),
        other if is_secret => *other = Value::String(HIDDEN.to_owned()),
        _ => {}
    }
}

/// Whether a dotted key holds, or stands below, something secret.
pub(super) fn is_secret(key: &str) -> bool {
    key.split(['.', '[']).any(is_secret_name)
}

fn is_secret_name(name: &str) -> bool {
    const WORDS: [&str; 8] = ["password", "passwd", "passphrase", "secret", "token", "api_key", "private_key", "credential"];
    let name = name.to_lowercase().replace(['-', '.'], "_");
    WORDS.iter().any(|word| name.contains(word))
}

/// `postgres://user:pass@host` without `pass`, wherever in a text.
pub(super) fn without_passwords(text: &str) -> String {
    let mut rest = text;
    let mut out = String::with_capacity(text.len());
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let url = after.split([' ', '"', '`', ',']).next().unwrap_or_default();
        let authority = url.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, behind_user) = authority.split_once(':').unwrap_or((authority, ""));
        // A password may hold signs that nobody encoded. The last @ stands before the host; what looks like a port that is no
        // number is the begin of a password with a slash in it.
        let is_port = behind_user.bytes().all(|it| it.is_ascii_digit());
        let end = authority.rfind('@').filter(|_| !behind_user.is_empty()).or_else(|| url.rfind('@').filter(|_| !is_port));
        match end {
            Some(at) if at > user.len() => {
                out.push_str(user);
                out.push_str(":***");
                rest = &after[at..];
            }
            _ => {
                out.push_str(authority);
                rest = &after[authority.len()..];
            }
        }
    }
    out + rest
}

/// A warning, if the variable holds a secret itself and not the name of a file with one.
pub(super) fn secret_in_environment(name: &str, keys: &[String], value: &str) -> Option<String> {
    let names_a_file = ["/", "./", "../"].iter().any(|start| value.starts_with(start));
    let is_secret = (keys.iter().any(|key| is_secret_name(key)) && !names_a_file) || without_passwords(value) != value;
    is_secret.then(|| {
        format!("{name} holds a secret: whoever may look at the process sees its environment; put it into a file and let the settings name the file")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_hidden_and_nothing_else_is() {
        for (text, expected) in [
            ("postgres://tw:hunter2@db:5432/tw", "postgres://tw:***@db:5432/tw"),
            ("postgres://tw:hun@ter2@db/tw?sslmode=require", "postgres://tw:***@db/tw?sslmode=require"),
            ("postgres://tw:hun/ter2@db/tw", "postgres://tw:***@db/tw"),
            ("http://shop:8080/a@b", "http://shop:8080/a@b"),
            ("a http://u:p@h and http://x:q@y/z", "a http://u:***@h and http://x:***@y/z"),
            ("http://collector:4317", "http://collector:4317"),
            ("http://shop.example/a:b@c", "http://shop.example/a:b@c"),
            ("postgres://tw@db/tw", "postgres://tw@db/tw"),
            ("kafka:9092,kafka2:9092", "kafka:9092,kafka2:9092"),
            ("", ""),
        ] {
            assert_eq!(without_passwords(text), expected);
        }
    }

    #[test]
    fn what_is_named_like_a_secret_is_hidden_with_all_below_it() {
        let settings: toml::Table =
            "a = 1\n[bus.properties]\n'sasl.password' = 'x1'\n'sasl.username' = 'me'\n[secrets]\nlist = ['x2', 7]\n\
                                     [erp]\napi-key = 'x3'\nurl = 'https://me:x4@erp/'"
                .parse()
                .unwrap();
        let shown = shown(&settings);
        for secret in ["x1", "x2", "7", "x3", "x4"] {
            assert!(!shown.contains(secret), "{secret} is in {shown}");
        }
        for open in ["a = 1", "me", "https://me:***@erp/"] {
            assert!(shown.contains(open), "{open} is not in {shown}");
        }
    }
}
