//! Reads a request's body whole, within limits: nothing compressed, nothing too large, nothing that drips.

mod paced;
mod room;

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;

pub(crate) use paced::Paced;
pub use paced::{Pace, TooSlow};
pub use room::{Room, Share};

use crate::Problem;

/// Memory is taken as bytes arrive: an announced length is a promise of the client, no reason to reserve it.
const FIRST_ALLOCATION_MAX: usize = 64 * 1024;

/// For a client that found no room.
const AGAIN: Duration = Duration::from_secs(5);

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// A few bytes can unpack to gigabytes, and signatures are over what was sent.
    #[error("the body has a Content-Encoding; send it as it is")]
    Encoded,
    #[error("the body is larger than {max} bytes")]
    TooLarge { max: usize },
    #[error("too many bodies are read at once; send it again later")]
    NoRoom,
    #[error("the body came too slowly")]
    TooSlow,
    #[error("the body ended early")]
    Broken,
}

impl BodyError {
    /// From a closed set; the page of it is `docs/errors/<code>.md`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Encoded => "body_encoded",
            Self::TooLarge { .. } => "body_too_large",
            Self::NoRoom => "body_no_room",
            Self::TooSlow => "body_too_slow",
            Self::Broken => "body_broken",
        }
    }
}

/// What the headers alone give away: refused before a byte of the body is read.
pub fn precheck(headers: &HeaderMap, max: usize) -> Result<(), BodyError> {
    let encoded = headers.get_all(header::CONTENT_ENCODING).iter().any(|it| !it.as_bytes().eq_ignore_ascii_case(b"identity"));
    if encoded {
        return Err(BodyError::Encoded);
    }
    match content_length(headers) {
        Some(length) if length > max as u64 => Err(BodyError::TooLarge { max }),
        _ => Ok(()),
    }
}

/// The whole body, at most `max` bytes of it, as long as its share of the server's memory can grow. Reading stops at the first byte
/// over a limit.
pub async fn read(headers: &HeaderMap, body: Body, max: usize, share: &mut Share) -> Result<Bytes, BodyError> {
    precheck(headers, max)?;
    let mut body = body;
    let Some(first) = next(&mut body).await? else { return Ok(Bytes::new()) };
    if first.len() > max {
        return Err(BodyError::TooLarge { max });
    }
    share.grow(first.len())?;
    // Most deliveries fit into one read of the socket: those are not copied.
    let announced = content_length(headers).and_then(|it| usize::try_from(it).ok());
    if announced == Some(first.len()) {
        return Ok(first);
    }
    let mut whole = BytesMut::with_capacity(announced.unwrap_or(0).clamp(first.len(), FIRST_ALLOCATION_MAX.max(first.len())));
    whole.extend_from_slice(&first);
    while let Some(data) = next(&mut body).await? {
        if whole.len() + data.len() > max {
            return Err(BodyError::TooLarge { max });
        }
        share.grow(data.len())?;
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn next(body: &mut Body) -> Result<Option<Bytes>, BodyError> {
    while let Some(frame) = body.frame().await {
        match frame {
            // Trailers say nothing that we need.
            Ok(frame) => match frame.into_data() {
                Ok(data) => return Ok(Some(data)),
                Err(_trailers) => {}
            },
            Err(error) if is_too_slow(&error) => return Err(BodyError::TooSlow),
            Err(_) => return Err(BodyError::Broken),
        }
    }
    Ok(None)
}

fn is_too_slow(error: &axum::Error) -> bool {
    std::iter::successors(Some(error as &dyn std::error::Error), |it| it.source()).any(|it| it.is::<TooSlow>())
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let (status, title) = match error {
            BodyError::Encoded => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "Encoded body"),
            BodyError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "Body too large"),
            BodyError::NoRoom => (StatusCode::SERVICE_UNAVAILABLE, "Too many bodies"),
            BodyError::TooSlow => (StatusCode::REQUEST_TIMEOUT, "Body too slow"),
            BodyError::Broken => (StatusCode::BAD_REQUEST, "Body incomplete"),
        };
        let problem = Problem::new(status, error.code(), title, error.to_string());
        if error == BodyError::NoRoom { problem.retry_after(AGAIN) } else { problem }
    }
}

impl IntoResponse for BodyError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http::HeaderValue;

    use super::*;

    /// With all the room that there is.
    async fn read(headers: &HeaderMap, body: Body, max: usize) -> Result<Bytes, BodyError> {
        super::read(headers, body, max, &mut Room::new(usize::MAX).share()).await
    }

    fn headers(of: &[(header::HeaderName, &str)]) -> HeaderMap {
        of.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    fn chunks(sizes: &[usize]) -> Body {
        let chunks: Vec<_> = sizes.iter().map(|size| Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; *size]))).collect();
        Body::from_stream(stream::iter(chunks))
    }

    #[tokio::test]
    async fn the_limit_is_the_last_length_that_passes() {
        for sizes in [&[10][..], &[4, 6], &[10, 0], &[0, 3, 3, 4]] {
            let body = read(&HeaderMap::new(), chunks(sizes), 10).await;
            assert_eq!(body.map(|it| it.len()), Ok(10), "{sizes:?}");
        }
        for sizes in [&[11][..], &[4, 7], &[10, 1]] {
            let body = read(&HeaderMap::new(), chunks(sizes), 10).await;
            assert_eq!(body, Err(BodyError::TooLarge { max: 10 }), "{sizes:?}");
        }
    }

    #[tokio::test]
    async fn an_announced_length_over_the_limit_is_refused_unread() {
        let unread = Body::from_stream(stream::once(async { panic!("must not be read") as Result<Bytes, std::io::Error> }));
        let answer = read(&headers(&[(header::CONTENT_LENGTH, "11")]), unread, 10).await;
        assert_eq!(answer, Err(BodyError::TooLarge { max: 10 }));
    }

    #[tokio::test]
    async fn all_bodies_together_take_no_more_than_their_room() {
        let room = Room::new(10);
        let (mut first, mut second) = (room.share(), room.share());
        let read =
            async |sizes: &[usize], share: &mut Share| super::read(&HeaderMap::new(), chunks(sizes), 10, share).await.map(|it| it.len());
        assert_eq!(read(&[3, 3], &mut first).await, Ok(6));
        assert_eq!(read(&[4, 1], &mut second).await, Err(BodyError::NoRoom));
        assert_eq!(read(&[1], &mut room.share()).await, Err(BodyError::NoRoom), "as long as somebody holds it");
        drop(second);
        assert_eq!(read(&[2, 2], &mut room.share()).await, Ok(4));
    }

    #[tokio::test]
    async fn an_encoded_body_is_refused_and_identity_is_not_one() {
        let gzip = headers(&[(header::CONTENT_ENCODING, "gzip")]);
        assert_eq!(read(&gzip, chunks(&[1]), 10).await, Err(BodyError::Encoded));
        let identity = headers(&[(header::CONTENT_ENCODING, "Identity")]);
        assert_eq!(read(&identity, chunks(&[1]), 10).await.map(|it| it.len()), Ok(1));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_not_taken_for_a_whole_one() {
        let broken = [Ok(Bytes::from_static(b"{\"id\"")), Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof))];
        let body = Body::from_stream(stream::iter(broken));
        assert_eq!(read(&HeaderMap::new(), body, 10).await, Err(BodyError::Broken));
    }
}
