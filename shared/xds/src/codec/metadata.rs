//! What weir says to weir inside Envoy's `Metadata`, under the key `weir`: one text, which other data planes carry along, show and ignore.
//!
//! One entry only, and not a message of our own: a map of several is written in random order, and an Envoy that does not know a type
//! cannot show its configuration any more.

use super::fault::{Check, Fault};
use super::pb::{core, google};
use google::value::Kind;

/// The key of weir's entry.
const KEY: &str = "weir";

/// Metadata that says one thing.
pub(super) fn encode(key: &str, value: &str) -> core::Metadata {
    let value = google::Value { kind: Some(Kind::StringValue(value.to_owned())) };
    let fields = [(key.to_owned(), value)].into();
    let filter_metadata = [(KEY.to_owned(), google::Struct { fields })].into();
    core::Metadata { filter_metadata, ..core::Metadata::default() }
}

/// What metadata says under a key of weir's, if anything.
pub(super) fn decode<'a>(metadata: Option<&'a core::Metadata>, key: &str) -> Check<Option<&'a str>> {
    let entry = metadata.and_then(|metadata| metadata.filter_metadata.get(KEY));
    match entry.and_then(|entry| entry.fields.get(key)).map(|value| &value.kind) {
        None => Ok(None),
        Some(Some(Kind::StringValue(value))) if value.len() <= weir_model::limits::NAME_BYTES => {
            Ok(Some(value))
        }
        Some(_) => Err(Fault::of(&format!("metadata.filter_metadata.{KEY}.{key}"), "must be a short text")),
    }
}
