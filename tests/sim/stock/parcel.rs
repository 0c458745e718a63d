//! A response, whichever way it came.

use crate::wire::{self, Seen};
use prost::Message;
use weir_model::ResourceType;
use weir_proto::envoy::envoy::service::discovery::v3::{DeltaDiscoveryResponse, DiscoveryResponse};
use weir_xds::codec;

/// One response, whichever way it came.
pub(super) struct Parcel {
    pub(super) kind: ResourceType,
    pub(super) version: String,
    pub(super) nonce: String,
    /// With the control plane's version of each.
    pub(super) resources: Vec<(String, Seen)>,
    pub(super) removed: Vec<String>,
}

/// Reads a state-of-the-world response.
pub(super) fn sotw(bytes: &[u8]) -> Result<Parcel, String> {
    let it = DiscoveryResponse::decode(bytes).map_err(|error| error.to_string())?;
    let kind = codec::kind_of(&it.type_url).ok_or("a response of no known type")?;
    let read = |any| wire::read(kind, any).map(|seen| (String::new(), seen));
    let resources = it.resources.iter().map(read).collect::<Result<_, _>>()?;
    Ok(Parcel { kind, version: it.version_info, nonce: it.nonce, resources, removed: vec![] })
}

/// Reads an incremental response.
pub(super) fn delta(bytes: &[u8]) -> Result<Parcel, String> {
    let it = DeltaDiscoveryResponse::decode(bytes).map_err(|error| error.to_string())?;
    let kind = codec::kind_of(&it.type_url).ok_or("a response of no known type")?;
    let mut resources = Vec::new();
    for resource in it.resources {
        let seen = wire::read(kind, resource.resource.as_ref().ok_or("a resource without content")?)?;
        if seen.name != resource.name {
            return Err(format!("{} travels under the name {}", seen.name, resource.name));
        }
        resources.push((resource.version, seen));
    }
    Ok(Parcel {
        kind,
        version: it.system_version_info,
        nonce: it.nonce,
        resources,
        removed: it.removed_resources,
    })
}

/// For the journal.
pub(super) fn describe(parcel: &Parcel) -> String {
    let mut text = format!("{} #{}:", parcel.kind, parcel.nonce);
    for (_, seen) in &parcel.resources {
        let poison = if seen.poisoned { "!" } else { "" };
        text.push_str(&format!(" +{}@{:06x}{poison}", seen.name, seen.mark >> 40));
    }
    for name in &parcel.removed {
        text.push_str(&format!(" -{name}"));
    }
    text
}
