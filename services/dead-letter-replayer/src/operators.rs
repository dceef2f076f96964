//! Who calls. The actor of the audit trail comes from here, never from a request's body.

use std::collections::BTreeMap;
use std::io;

use secrecy::ExposeSecret as _;
use service_kit::SecretFile;
use tonic::{Request, Status};

/// Names and tokens of those who may call; empty = everybody on this machine.
#[derive(Clone)]
pub struct Operators(Vec<(String, Vec<u8>)>);

/// Who it is, added to every request that passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor(pub String);

impl Operators {
    pub fn read(files: &BTreeMap<String, SecretFile>) -> io::Result<Self> {
        let read = |(name, file): (&String, &SecretFile)| {
            let token = file.read().map_err(io::Error::other)?;
            Ok((name.clone(), token.expose_secret().trim().as_bytes().to_vec()))
        };
        files.iter().map(read).collect::<io::Result<Vec<_>>>().map(Self)
    }

    pub fn admit<T>(&self, mut request: Request<T>) -> Result<Request<T>, Status> {
        let actor = if self.0.is_empty() { "local".to_owned() } else { self.named(&request)? };
        request.extensions_mut().insert(Actor(actor));
        Ok(request)
    }

    fn named<T>(&self, request: &Request<T>) -> Result<String, Status> {
        let sent = request.metadata().get("authorization").and_then(|it| it.to_str().ok()).and_then(|it| it.strip_prefix("Bearer "));
        let sent = sent.ok_or_else(|| Status::unauthenticated("send your token as `authorization: Bearer <token>`"))?;
        let found = self.0.iter().find(|(_, token)| is_equal(token, sent.as_bytes()));
        found.map(|(name, _)| name.clone()).ok_or_else(|| Status::unauthenticated("no operator has this token"))
    }
}

/// In a time that depends on lengths only.
fn is_equal(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}

pub fn actor_of<T>(request: &Request<T>) -> String {
    request.extensions().get::<Actor>().map_or_else(|| "unknown".to_owned(), |it| it.0.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(operators: &Operators, header: Option<&str>) -> Result<String, Status> {
        let mut request = Request::new(());
        if let Some(header) = header {
            request.metadata_mut().insert("authorization", header.parse().unwrap());
        }
        operators.admit(request).map(|it| actor_of(&it))
    }

    #[test]
    fn the_token_says_who_calls_and_nothing_else_does() {
        let operators = Operators(vec![("ada".to_owned(), b"t-1".to_vec()), ("bob".to_owned(), b"t-2".to_vec())]);
        assert_eq!(call(&operators, Some("Bearer t-2")).unwrap(), "bob");
        for refused in [None, Some("Bearer t-3"), Some("Bearer "), Some("t-1"), Some("Bearer t-11")] {
            assert_eq!(call(&operators, refused).unwrap_err().code(), tonic::Code::Unauthenticated, "{refused:?}");
        }
    }

    #[test]
    fn without_operators_everybody_here_is_local() {
        assert_eq!(call(&Operators(Vec::new()), None).unwrap(), "local");
    }
}
