//! What the targets share.

use prost::Message;
use weir_model::ResourceType;
use weir_proto::envoy::google::protobuf::Any;
use weir_xds::codec::type_url;

/// The most messages of one input.
const MESSAGES: usize = 8;

/// Resources as bytes: for each its type, its length in two bytes, and its message.
pub fn messages(mut input: &[u8]) -> Vec<Any> {
    let mut messages = Vec::new();
    while let (Some((head, rest)), true) = (input.split_first_chunk::<3>(), messages.len() < MESSAGES) {
        let kind = ResourceType::ALL[usize::from(head[0]) % ResourceType::ALL.len()];
        let length = usize::from(u16::from_le_bytes([head[1], head[2]])).min(rest.len());
        messages.push(Any { type_url: type_url(kind).to_owned(), value: rest[..length].to_vec() });
        input = &rest[length..];
    }
    messages
}

/// A message as it is sent.
pub fn any<M: Message + prost::Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

/// Text of few different parts, so that much of it is alike: each byte is one of them.
pub fn text(bytes: &[u8], parts: &[&str]) -> String {
    bytes.iter().take(24).map(|byte| parts[usize::from(*byte) % parts.len()]).collect()
}

/// Feeds pieces of a size until there is an answer.
pub fn in_pieces<T>(bytes: &[u8], size: usize, mut feed: impl FnMut(&[u8]) -> Option<T>) -> Option<T> {
    bytes.chunks(size.max(1)).find_map(|piece| feed(piece))
}
