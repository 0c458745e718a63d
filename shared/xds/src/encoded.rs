//! Resources together with their encoding, so that a thousand sessions which send the same resource encode it once.
//!
//! An [`Encoder`] belongs to whoever compiles; it remembers, by content, what is still in use somewhere, and nothing else. An [`EncodedSet`]
//! is immutable and cheap to clone; sessions hold one each.

use crate::codec;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};
use weir_model::node::Target;
use weir_model::{Resource, ResourceSet, ResourceType, Version};
use weir_proto::envoy::google::protobuf::Any;

/// A resource, its version, what it refers to, and its encoding for one target.
#[derive(Debug)]
pub struct Encoded {
    /// Its type.
    pub kind: ResourceType,
    /// The hash of its content.
    pub version: Version,
    /// The value.
    pub resource: Arc<Resource>,
    /// The message.
    pub any: Any,
    /// What it refers to, sorted, each once.
    pub references: Vec<(ResourceType, String)>,
}

impl Encoded {
    /// Encodes one resource.
    pub fn new(version: Version, resource: Arc<Resource>, target: Target) -> Self {
        let references = resource.references().into_iter().map(|(kind, name)| (kind, name.to_owned()));
        let mut references: Vec<_> = references.collect();
        references.sort_unstable();
        references.dedup();
        Self { kind: resource.kind(), version, any: codec::encode(&resource, target), resource, references }
    }

    /// The resource's name.
    pub fn name(&self) -> &str {
        self.resource.name()
    }
}

type ByName = BTreeMap<String, Arc<Encoded>>;

/// What one class of nodes should have. Immutable, cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct EncodedSet(Arc<BTreeMap<ResourceType, ByName>>);

impl EncodedSet {
    /// Encodes every resource of a set, sharing nothing with other sets; see [`Encoder`] for more than one.
    pub fn new(resources: &ResourceSet, target: Target) -> Self {
        Encoder::default().encode(resources, target)
    }

    /// A resource.
    pub fn get(&self, kind: ResourceType, name: &str) -> Option<&Arc<Encoded>> {
        self.0.get(&kind)?.get(name)
    }

    /// The resources of one type, in order of name.
    pub fn of(&self, kind: ResourceType) -> impl Iterator<Item = (&str, &Arc<Encoded>)> {
        self.0.get(&kind).into_iter().flatten().map(|(name, encoded)| (name.as_str(), encoded))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.values().map(BTreeMap::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Encodes sets and shares what they have in common. Holds only weak references, so its size is bounded by what the sets in use hold.
#[derive(Debug, Default)]
pub struct Encoder {
    known: HashMap<(Target, Version), Weak<Encoded>>,
    prune_at: usize,
}

/// Below this many entries forgetting the dead ones is not worth a walk.
const PRUNE_FROM: usize = 256;

impl Encoder {
    /// Encodes a set; a resource that any living set of this encoder holds for the same target is shared with it.
    pub fn encode(&mut self, resources: &ResourceSet, target: Target) -> EncodedSet {
        let mut kinds: BTreeMap<ResourceType, ByName> = BTreeMap::new();
        for (kind, name, version, resource) in resources.iter() {
            let encoded = self.encode_one(version, resource, target);
            kinds.entry(kind).or_default().insert(name.to_owned(), encoded);
        }
        self.prune();
        EncodedSet(Arc::new(kinds))
    }

    /// How many encodings are remembered, the forgotten ones that were not swept yet included.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    fn encode_one(&mut self, version: Version, resource: &Arc<Resource>, target: Target) -> Arc<Encoded> {
        let key = (target, version);
        if let Some(known) = self.known.get(&key).and_then(Weak::upgrade) {
            // The version is a 64-bit hash: a collision must cost an encoding, never deliver the wrong resource.
            if Arc::ptr_eq(&known.resource, resource) || known.resource == *resource {
                return known;
            }
        }
        let encoded = Arc::new(Encoded::new(version, resource.clone(), target));
        self.known.insert(key, Arc::downgrade(&encoded));
        encoded
    }

    fn prune(&mut self) {
        if self.known.len() >= self.prune_at.max(PRUNE_FROM) {
            self.known.retain(|_, encoded| encoded.strong_count() > 0);
            self.prune_at = self.known.len() * 2;
        }
    }
}

#[cfg(test)]
mod tests;
