//! What is on the wire: messages ([`proto`]), record headers ([`headers`]), ids ([`ids`]), the topic table ([`topics`]), and the
//! way between wire and domain ([`wire`]), where whatever is not understood becomes a fault of class decode or schema.

pub mod headers;
pub mod ids;
pub mod proto;
pub mod reflect;
pub mod topics;
pub mod wire;
