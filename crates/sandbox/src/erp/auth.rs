//! Sessions: a login gives a key, and every call shows it.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use uuid::Uuid;

use super::fail::Fail;

#[derive(Debug)]
pub(super) struct Sessions {
    login: String,
    password: SecretString,
    user: i64,
    keys: BTreeSet<String>,
    failures: u32,
    failures_max: u32,
}

impl Sessions {
    pub(super) fn new(login: String, password: SecretString, user: i64, failures_max: u32) -> Self {
        Self { login, password, user, keys: BTreeSet::new(), failures: 0, failures_max }
    }

    /// `common.db.login`: login name, `{"password": ..}`, language. Answers user id, key and no message bus.
    pub(super) fn log_in(&mut self, params: &[Value]) -> Result<Value, Fail> {
        if self.failures >= self.failures_max {
            return Err(Fail::TooManyAttempts);
        }
        let login = params.first().and_then(Value::as_str);
        let password = params.get(1).and_then(|it| it.get("password")).and_then(Value::as_str);
        if login != Some(&self.login) || password != Some(self.password.expose_secret()) {
            self.failures += 1;
            return Err(Fail::Unauthorized);
        }
        self.failures = 0;
        let key = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        self.keys.insert(key.clone());
        Ok(serde_json::json!([self.user, key, null]))
    }

    /// `Authorization: Session base64(login:user:key)`. Nothing else is taken here; application keys are for REST.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Fail> {
        let key = self.key(headers).filter(|it| self.keys.contains(it));
        key.map(drop).ok_or(Fail::Unauthorized)
    }

    pub(super) fn log_out(&mut self, headers: &HeaderMap) {
        if let Some(key) = self.key(headers) {
            self.keys.remove(&key);
        }
    }

    /// Ends all sessions, as a restart or their age does.
    pub(super) fn expire(&mut self) {
        self.keys.clear();
    }

    fn key(&self, headers: &HeaderMap) -> Option<String> {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("session") {
            return None;
        }
        let token = String::from_utf8(STANDARD.decode(token.trim()).ok()?).ok()?;
        let (rest, key) = token.rsplit_once(':')?;
        let (login, user) = rest.rsplit_once(':')?;
        (login == self.login && user.parse() == Ok(self.user)).then(|| key.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::*;

    fn sessions() -> Sessions {
        Sessions::new("adapter".into(), "secret".into(), 2, 3)
    }

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap())])
    }

    fn session(token: &str) -> HeaderMap {
        headers(&format!("Session {}", STANDARD.encode(token)))
    }

    #[test]
    fn a_session_lasts_until_it_is_ended() {
        let mut sessions = sessions();
        let answer = sessions.log_in(&[json!("adapter"), json!({"password": "secret"}), json!("en")]).unwrap();
        let key = answer[1].as_str().unwrap();
        assert_eq!((&answer[0], key.len(), &answer[2]), (&json!(2), 64, &Value::Null));
        let ours = session(&format!("adapter:2:{key}"));
        assert_eq!(sessions.check(&ours), Ok(()));
        for other in ["adapter:2:dead".to_owned(), format!("clerk:2:{key}"), format!("adapter:3:{key}"), key.to_owned()] {
            assert_eq!(sessions.check(&session(&other)), Err(Fail::Unauthorized), "{other}");
        }
        assert_eq!(sessions.check(&headers(&format!("Bearer {key}"))), Err(Fail::Unauthorized));
        assert_eq!(sessions.check(&HeaderMap::new()), Err(Fail::Unauthorized));
        sessions.expire();
        assert_eq!(sessions.check(&ours), Err(Fail::Unauthorized));
    }

    #[test]
    fn too_many_wrong_passwords_shut_the_door() {
        let mut sessions = sessions();
        let wrong = [json!("adapter"), json!({"password": "guess"}), json!("en")];
        for _ in 0..3 {
            assert_eq!(sessions.log_in(&wrong), Err(Fail::Unauthorized));
        }
        assert_eq!(sessions.log_in(&wrong), Err(Fail::TooManyAttempts));
    }
}
