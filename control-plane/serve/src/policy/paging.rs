//! Which objects, and how many at once.

use super::answer::{reference, stored};
use tonic::Status;
use weir_policy::{Kind, ObjectId};
use weir_proto::policy::v1 as wire;
use weir_store::State;

const DEFAULT: usize = 1000;
const MOST: usize = 10_000;

/// A kind and a namespace, or all.
#[derive(Debug)]
pub(super) struct Selection {
    kind: Option<Kind>,
    namespace: String,
}

impl Selection {
    pub(super) fn new(kind: &str, namespace: &str) -> Result<Self, Status> {
        let kind = match kind {
            "" => None,
            kind => Some(kind.parse().map_err(|wrong: weir_policy::KindError| {
                Status::invalid_argument(format!("kind: {wrong}"))
            })?),
        };
        Ok(Self { kind, namespace: namespace.to_owned() })
    }

    pub(super) fn takes(&self, object: &wire::ObjectRef) -> bool {
        self.kind.is_none_or(|kind| kind.as_str() == object.kind)
            && (self.namespace.is_empty() || self.namespace == object.namespace)
    }
}

/// One page, in order of key; the token is the last key of the page.
pub(super) fn page(
    state: &State,
    selection: &Selection,
    limit: u32,
    token: &str,
) -> Result<wire::ListResponse, Status> {
    use std::ops::Bound;
    let limit = if limit == 0 { DEFAULT } else { (limit as usize).min(MOST) };
    let from = if token.is_empty() { Bound::Unbounded } else { Bound::Excluded(token) };
    let selected = state
        .entries
        .range::<str, _>((from, Bound::Unbounded))
        .filter(|(key, _)| ObjectId::from_key(key).is_some_and(|id| selection.takes(&reference(&id))));
    let mut items = Vec::new();
    let mut next_page_token = String::new();
    let mut last = String::new();
    for (key, entry) in selected {
        if items.len() == limit {
            next_page_token.clone_from(&last);
            break;
        }
        items.push(stored(entry, state.revision)?);
        last.clone_from(key);
    }
    Ok(wire::ListResponse { items, revision: state.revision.0, next_page_token })
}
