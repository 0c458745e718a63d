//! Limits on request bodies: Envoy's `buffer`, which holds a whole body back until it knows that it is not too large. Weir counts while it
//! passes on, and answers the same.

use super::super::fault::{Check, Fault, required};
use super::super::pb::{buffer, google};
use buffer::buffer_per_route::Override;
use buffer::{Buffer, BufferPerRoute};
use weir_model::BodyLimit;

/// What an Envoy's filter has where no limit is said; it is disabled then.
pub(super) const ANY: u32 = u32::MAX;

pub(super) fn encode(bytes: u32) -> Buffer {
    Buffer { max_request_bytes: Some(google::UInt32Value { value: bytes }) }
}

pub(super) fn decode(filter: &Buffer) -> Check<BodyLimit> {
    match required("max_request_bytes", filter.max_request_bytes.as_ref())?.value {
        0 => Err(Fault::of("max_request_bytes", "0 lets no body through; write at least 1")),
        bytes => Ok(BodyLimit::Bytes(bytes)),
    }
}

pub(super) fn of_route(limit: BodyLimit) -> BufferPerRoute {
    let said = match limit {
        BodyLimit::Off => Override::Disabled(true),
        BodyLimit::Bytes(bytes) => Override::Buffer(encode(bytes)),
    };
    BufferPerRoute { r#override: Some(said) }
}

pub(super) fn from_route(filter: &BufferPerRoute) -> Check<BodyLimit> {
    match required("override", filter.r#override.as_ref())? {
        Override::Disabled(true) => Ok(BodyLimit::Off),
        Override::Disabled(false) => Err(Fault::of("disabled", "only true says something")),
        Override::Buffer(filter) => decode(filter),
    }
}
