//! Subsets: parts of a cluster's endpoints, by their labels (Envoy's `LbSubsetConfig` and `envoy.lb` metadata).
//!
//! weir's own policies say it with services: a version is a `Service` whose selector names it, with a cluster of its own. Subsets come
//! from other control planes.

use std::collections::BTreeMap;

/// What an endpoint says of itself, and what a route asks for; by key.
pub type Labels = BTreeMap<String, Label>;

/// The value of a label.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Label {
    /// A text.
    Text(String),
    /// A number, as the bits of an `f64`; zero has one form only.
    Number(u64),
    /// Yes or no.
    Bool(bool),
    /// Nothing, said aloud.
    Null,
    /// Several of the above; lists in lists are not taken.
    List(Vec<Label>),
}

/// How a cluster's endpoints fall into subsets, and who serves requests for which there is none.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct SubsetConfig {
    /// By which keys there are subsets: one for each combination of values that an endpoint has.
    pub selectors: Vec<SubsetSelector>,
    /// Who serves requests that ask for nothing, or for a subset that is not there.
    pub fallback: SubsetFallback,
    /// The labels of [`SubsetFallback::Default`]; all endpoints if empty.
    pub default_subset: Labels,
    /// Whether a subset's localities keep their weights; if not, its endpoints are one set.
    pub locality_weight_aware: bool,
    /// Whether these weights shrink with the part of the locality that is in the subset.
    pub scale_locality_weight: bool,
    /// Whether any endpoint serves where the fallback has none.
    pub panic_mode_any: bool,
    /// Whether each element of a list counts as the label's value.
    pub list_as_any: bool,
}

/// Keys by whose values there are subsets.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SubsetSelector {
    /// In order, without duplicates, at least one.
    pub keys: Vec<String>,
    /// Who serves requests that ask by these keys for a subset that is not there; the cluster's fallback if absent.
    pub fallback: Option<SelectorFallback>,
}

/// Who serves requests for which there is no subset.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum SubsetFallback {
    /// Nobody: they fail.
    #[default]
    None,
    /// Any endpoint.
    Any,
    /// Those with [`SubsetConfig::default_subset`].
    Default,
}

/// The same for one selector.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SelectorFallback {
    /// As for the cluster.
    Of(SubsetFallback),
    /// The subset by only these of the keys, in order.
    Keys(Vec<String>),
}
