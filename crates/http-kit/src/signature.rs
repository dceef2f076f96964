//! HMAC-SHA256 signatures over raw bytes, with up to two active secrets so that a rotation rejects nothing.

mod files;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

pub use files::{SecretFiles, SecretFilesError, is_signature};

/// How a signature is written in its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Base64,
    /// Either case; a prefix such as `sha256=` is the caller's to strip.
    Hex,
}

/// The active secrets of one sender, newest first.
#[derive(Clone)]
pub struct Secrets {
    // Keyed once: a clone of it costs less than the key schedule at every request.
    keyed: Vec<Hmac<Sha256>>,
}

/// Why a set of secrets is refused. Without a secret nothing could be checked, and nothing unchecked is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    #[error("no signing secret: put the sender's secret into a file and name it in the connection's `webhook_secret_files`")]
    None,
    #[error("secret number {0} of `webhook_secret_files` is empty: write the sender's secret into its file")]
    Empty(usize),
    #[error("{0} signing secrets: at most the current and the next one may be active, retire the others")]
    TooMany(usize),
}

impl Secrets {
    /// At most this many may be active at once.
    pub const MAX: usize = 2;

    pub fn new(secrets: impl IntoIterator<Item = SecretString>) -> Result<Self, SecretsError> {
        let mut keyed = Vec::with_capacity(Self::MAX);
        for (index, secret) in secrets.into_iter().enumerate() {
            // White space around it is the file's, as a rule a last line break.
            let secret = secret.expose_secret().trim();
            if secret.is_empty() {
                return Err(SecretsError::Empty(index + 1));
            }
            keyed.push(Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length"));
        }
        match keyed.len() {
            0 => Err(SecretsError::None),
            count if count > Self::MAX => Err(SecretsError::TooMany(count)),
            _ => Ok(Self { keyed }),
        }
    }

    /// How many are active.
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.keyed.len()
    }

    /// Which secret (0 = newest) signed the parts, taken one after the other. `None`: none of them did.
    /// The comparison takes the same time whatever the signature is.
    pub fn verify(&self, signature: &[u8], encoding: Encoding, parts: &[&[u8]]) -> Option<usize> {
        let claimed = decode(signature, encoding)?;
        self.keyed.iter().position(|key| digest(key, parts).verify_slice(&claimed).is_ok())
    }

    /// The signature that the newest secret gives.
    pub fn sign(&self, encoding: Encoding, parts: &[&[u8]]) -> String {
        let newest = self.keyed.first().expect("`new` refuses an empty set");
        let tag = digest(newest, parts).finalize().into_bytes();
        match encoding {
            Encoding::Base64 => STANDARD.encode(tag),
            Encoding::Hex => tag.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({} active, ***)", self.keyed.len())
    }
}

fn digest(key: &Hmac<Sha256>, parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = key.clone();
    for part in parts {
        mac.update(part);
    }
    mac
}

/// The 32 bytes that a header claims to be; `None` for whatever else it is.
fn decode(signature: &[u8], encoding: Encoding) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    match encoding {
        // 32 bytes are 44 characters; the decoder wants room for 33.
        Encoding::Base64 if signature.len() == 44 => {
            let mut padded = [0; 33];
            let length = STANDARD.decode_slice(signature, &mut padded).ok()?;
            bytes = padded[..length].try_into().ok()?;
        }
        Encoding::Hex if signature.len() == 64 => {
            for (byte, pair) in bytes.iter_mut().zip(signature.chunks_exact(2)) {
                *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
            }
        }
        _ => return None,
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|it| u8::try_from(it).expect("a hex digit is below 16"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(of: &[&str]) -> Secrets {
        Secrets::new(of.iter().map(|it| SecretString::from(*it))).unwrap()
    }

    /// RFC 4231, test case 2.
    const RFC_KEY: &str = "Jefe";
    const RFC_DATA: &[u8] = b"what do ya want for nothing?";
    const RFC_HEX: &[u8] = b"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    const RFC_BASE64: &[u8] = b"W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=";

    #[test]
    fn known_vectors_pass_in_both_encodings() {
        let secrets = secrets(&[RFC_KEY]);
        assert_eq!(secrets.verify(RFC_HEX, Encoding::Hex, &[RFC_DATA]), Some(0));
        assert_eq!(secrets.verify(&RFC_HEX.to_ascii_uppercase(), Encoding::Hex, &[RFC_DATA]), Some(0));
        assert_eq!(secrets.verify(RFC_BASE64, Encoding::Base64, &[RFC_DATA]), Some(0));
        assert_eq!(secrets.sign(Encoding::Hex, &[RFC_DATA]).as_bytes(), RFC_HEX);
        assert_eq!(secrets.sign(Encoding::Base64, &[RFC_DATA]).as_bytes(), RFC_BASE64);
    }

    #[test]
    fn every_flipped_bit_of_body_or_signature_fails() {
        let secrets = secrets(&[RFC_KEY]);
        for bit in 0..RFC_DATA.len() * 8 {
            let mut body = RFC_DATA.to_vec();
            body[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(secrets.verify(RFC_HEX, Encoding::Hex, &[&body]), None, "bit {bit} of the body");
        }
        for (signature, encoding) in [(RFC_HEX, Encoding::Hex), (RFC_BASE64, Encoding::Base64)] {
            for bit in 0..signature.len() * 8 {
                let mut forged = signature.to_vec();
                forged[bit / 8] ^= 1 << (bit % 8);
                // Bit 5 of a letter is its case, which hex does not mind.
                if encoding == Encoding::Hex && forged.eq_ignore_ascii_case(signature) {
                    continue;
                }
                assert_eq!(secrets.verify(&forged, encoding, &[RFC_DATA]), None, "bit {bit} of {encoding:?}");
            }
        }
    }

    #[test]
    fn during_a_rotation_both_secrets_pass_and_the_caller_learns_which() {
        let (old, new) = (secrets(&["old"]), secrets(&["new"]));
        let both = secrets(&["new", "old\n"]);
        let parts: [&[u8]; 3] = [b"msg_1", b".", b"{}"];
        assert_eq!(both.verify(new.sign(Encoding::Base64, &parts).as_bytes(), Encoding::Base64, &[b"msg_1.{}"]), Some(0));
        assert_eq!(both.verify(old.sign(Encoding::Base64, &parts).as_bytes(), Encoding::Base64, &[b"msg_1.{}"]), Some(1));
        assert_eq!(new.verify(old.sign(Encoding::Base64, &parts).as_bytes(), Encoding::Base64, &parts), None);
    }

    #[test]
    fn what_is_no_signature_is_refused() {
        let secrets = secrets(&[RFC_KEY]);
        for (signature, encoding) in [
            (&b""[..], Encoding::Base64),
            (b"W9zBRr9g", Encoding::Base64),
            (&RFC_BASE64[..43], Encoding::Base64),
            (&[b'A'; 44], Encoding::Base64),
            (&[0xff; 44], Encoding::Base64),
            (&RFC_HEX[..63], Encoding::Hex),
            (&[b'g'; 64], Encoding::Hex),
            (RFC_BASE64, Encoding::Hex),
            (RFC_HEX, Encoding::Base64),
        ] {
            assert_eq!(secrets.verify(signature, encoding, &[RFC_DATA]), None);
        }
    }

    #[test]
    fn without_a_secret_there_is_nothing_to_construct() {
        assert_eq!(Secrets::new([]).unwrap_err(), SecretsError::None);
        assert_eq!(Secrets::new(["a".into(), "\n".into()]).unwrap_err(), SecretsError::Empty(2));
        assert_eq!(Secrets::new(["a".into(), "b".into(), "c".into()]).unwrap_err(), SecretsError::TooMany(3));
        assert_eq!(format!("{:?}", secrets(&["hush"])), "Secrets(1 active, ***)");
    }
}
