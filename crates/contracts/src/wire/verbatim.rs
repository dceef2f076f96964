//! Entities that are passed on as they were read.
//!
//! prost drops fields that it does not know. Who passes an entity on must not: the reader behind it may be newer than it is, and
//! what the writer said to that one would be lost in between. So the message goes on byte for byte, in other wrapping.

use bytes::Bytes;
use domain::{ErpCommand, Operation};
use prost::encoding::{self, DecodeContext, WireType};

use super::Wire as _;

/// Messages of entities as they were read, for a command about them. `None`: as this version writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Originals {
    pub order: Option<Bytes>,
    pub refund: Option<Bytes>,
    pub customer: Option<Bytes>,
}

/// The entity in a change event. `changed`: a value that [`Changed::decode`](super::Changed::decode) has taken.
pub fn entity_of(changed: &Bytes) -> Bytes {
    let parts: Vec<&[u8]> = Fields(changed).filter(|it| it.number == ENTITY).filter_map(|it| it.content).collect();
    match parts[..] {
        [whole] => changed.slice_ref(whole),
        // Parts of one message, one behind the other, are the message.
        _ => parts.concat().into(),
    }
}

/// The command's message, with the entities in it as they were read.
pub fn encode_with(command: &ErpCommand, originals: &Originals) -> Bytes {
    let Originals { order, refund, customer } = originals;
    // Its number in the command, and what stands under the numbers 1 and 2 in it.
    let (operation, first, second) = match &command.operation {
        Operation::PlaceOrder { .. } => (4, order, &None),
        Operation::ConfirmOrder { .. } => (5, order, &None),
        Operation::ReviseOrder { .. } => (6, order, &None),
        Operation::CancelOrder { .. } => (7, order, &None),
        Operation::BookRefund { .. } => (8, refund, order),
        Operation::SyncCustomer { .. } => (9, customer, &None),
    };
    let entities = [(1, first), (2, second)].into_iter().filter_map(|(number, original)| Some((number, original.as_ref()?)));
    entities.fold(command.encode(), |message, (number, original)| replaced(&message, &[operation, number], original).into())
}

/// A message with another content of the message at this path of field numbers.
fn replaced(message: &[u8], path: &[u32], content: &[u8]) -> Vec<u8> {
    let Some((number, deeper)) = path.split_first() else { return content.to_vec() };
    let mut out = Vec::with_capacity(message.len() + content.len());
    for field in Fields(message) {
        match field.content {
            Some(before) if field.number == *number => {
                let now = replaced(before, deeper, content);
                encoding::encode_key(field.number, WireType::LengthDelimited, &mut out);
                encoding::encode_varint(now.len() as u64, &mut out);
                out.extend(now);
            }
            _ => out.extend(field.whole),
        }
    }
    out
}

struct Field<'m> {
    number: u32,
    /// With its key.
    whole: &'m [u8],
    /// Of a message, a text or bytes.
    content: Option<&'m [u8]>,
}

/// The fields of a message, as far as it is one.
struct Fields<'m>(&'m [u8]);

impl<'m> Iterator for Fields<'m> {
    type Item = Field<'m>;

    fn next(&mut self) -> Option<Field<'m>> {
        let (message, mut rest) = (self.0, self.0);
        if rest.is_empty() {
            return None;
        }
        let (number, wire_type) = encoding::decode_key(&mut rest).ok()?;
        let mut content = None;
        if wire_type == WireType::LengthDelimited {
            let length = usize::try_from(encoding::decode_varint(&mut rest).ok()?).ok()?;
            (content, rest) = (Some(rest.get(..length)?), rest.get(length..)?);
        } else {
            encoding::skip_field(wire_type, number, &mut rest, DecodeContext::default()).ok()?;
        }
        self.0 = rest;
        Some(Field { number, whole: &message[..message.len() - rest.len()], content })
    }
}

/// Of every change event.
const ENTITY: u32 = 2;
