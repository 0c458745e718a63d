//! Which requests are copied to a mirror, and how a copy tells that it is one.

use crate::authority;
use std::borrow::Cow;
use weir_model::{Fraction, Random};

/// Whether a request belongs to a share of all. Draws nothing where the share is all or nothing.
pub fn selected(share: Fraction, random: &mut Random) -> bool {
    match share.0 {
        0 => false,
        1_000_000.. => true,
        parts => random.below(1_000_000) < u64::from(parts),
    }
}

/// The authority of a copy: `-shadow` after the host and before the port, as Envoy has it. An address in brackets stays, since it would be
/// none any more.
pub fn shadow_authority(authority: &str) -> Cow<'_, str> {
    let (host, port) = authority::split(authority);
    if host.is_empty() || authority.starts_with('[') {
        return Cow::Borrowed(authority);
    }
    match port {
        Some(port) => Cow::Owned(format!("{host}-shadow:{port}")),
        None => Cow::Owned(format!("{host}-shadow")),
    }
}

#[cfg(test)]
mod tests;
