//! Signatures of webhooks. The input is a signature, a line break, and the body that it is said to be of.

use std::sync::LazyLock;

use http::{HeaderMap, HeaderValue};
use http_kit::{Encoding, Secrets};
use secrecy::SecretString;

use crate::{first_line, webhook};

static SECRETS: LazyLock<Secrets> =
    LazyLock::new(|| Secrets::new([SecretString::from("the next secret"), SecretString::from(webhook::SECRET)]).expect("two are allowed"));
static OLD: LazyLock<Secrets> = LazyLock::new(|| Secrets::new([SecretString::from(webhook::SECRET)]).expect("one is allowed"));

/// Right signatures pass under the secret that made them, no other bytes do, and one changed bit is enough.
pub fn check(input: &[u8]) {
    let (claimed, body) = first_line(input);
    for encoding in [Encoding::Base64, Encoding::Hex] {
        let rights = [SECRETS.sign(encoding, &[body]), OLD.sign(encoding, &[body])];
        for (index, right) in rights.iter().enumerate() {
            assert_eq!(SECRETS.verify(right.as_bytes(), encoding, &[body]), Some(index));
            assert_eq!(SECRETS.verify(&altered(right, claimed), encoding, &[body]), None, "{encoding:?}");
            let mut longer = body.to_vec();
            longer.push(0);
            assert_eq!(SECRETS.verify(right.as_bytes(), encoding, &[&longer]), None);
        }
        let is = |right: &String| match encoding {
            Encoding::Base64 => right.as_bytes() == claimed,
            Encoding::Hex => right.as_bytes().eq_ignore_ascii_case(claimed),
        };
        assert_eq!(SECRETS.verify(claimed, encoding, &[body]), rights.iter().position(is), "{encoding:?}");
    }
    let Ok(value) = HeaderValue::from_bytes(claimed) else { return };
    let headers = HeaderMap::from_iter([(http::HeaderName::from_static("x-shopify-hmac-sha256"), value)]);
    let webhooks = &webhook::connection().webhooks;
    let verified = webhooks.verify(&headers, body);
    assert_eq!(verified.is_some(), claimed == OLD.sign(Encoding::Base64, &[body]).as_bytes());
    assert!(verified.is_none() || webhooks.is_signed(&headers), "what is right is not refused before its body is read");
}

/// One bit of it is another, where the input says. Not that of a letter's case, which hex does not mind.
fn altered(right: &str, seed: &[u8]) -> Vec<u8> {
    let mut bytes = right.as_bytes().to_vec();
    let [at, bit] = [0, 1].map(|it| usize::from(seed.get(it).copied().unwrap_or_default()));
    let place = at % bytes.len();
    bytes[place] ^= [1, 2, 4, 8, 16, 64, 128][bit % 7];
    bytes
}
