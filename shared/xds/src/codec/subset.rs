//! Subsets of a cluster's endpoints, and the labels by which endpoints fall into them and routes ask for them.
//!
//! Beside round robin, which is Envoy's `lb_policy`, subsets are a balancing policy around another one; both messages have the same fields.

use super::fault::{At, Check, Fault, each, refuse, required};
use super::pb::{cluster, core, google, lb};
use super::wire;
use cluster::cluster::LbSubsetConfig;
use cluster::cluster::lb_subset_config::{
    LbSubsetFallbackPolicy, LbSubsetSelector, lb_subset_selector::LbSubsetSelectorFallbackPolicy,
};
use google::value::Kind;
use lb::subset::v3::Subset;
use prost::Message;
use std::collections::BTreeMap;
use weir_model::{Label, Labels, SelectorFallback, SubsetConfig, SubsetFallback, SubsetSelector, limits};

/// Where Envoy looks for what subsets select by.
const KEY: &str = "envoy.lb";

/// The message of a cluster's subsets.
pub(super) fn encode(config: &SubsetConfig) -> LbSubsetConfig {
    let selector = |selector: &SubsetSelector| {
        let (fallback, keys) = match &selector.fallback {
            None => (LbSubsetSelectorFallbackPolicy::NotDefined, Vec::new()),
            Some(SelectorFallback::Of(SubsetFallback::None)) => {
                (LbSubsetSelectorFallbackPolicy::NoFallback, Vec::new())
            }
            Some(SelectorFallback::Of(SubsetFallback::Any)) => {
                (LbSubsetSelectorFallbackPolicy::AnyEndpoint, Vec::new())
            }
            Some(SelectorFallback::Of(SubsetFallback::Default)) => {
                (LbSubsetSelectorFallbackPolicy::DefaultSubset, Vec::new())
            }
            Some(SelectorFallback::Keys(keys)) => (LbSubsetSelectorFallbackPolicy::KeysSubset, keys.clone()),
        };
        LbSubsetSelector {
            keys: selector.keys.clone(),
            fallback_policy: fallback as i32,
            fallback_keys_subset: keys,
            ..LbSubsetSelector::default()
        }
    };
    LbSubsetConfig {
        fallback_policy: match config.fallback {
            SubsetFallback::None => LbSubsetFallbackPolicy::NoFallback,
            SubsetFallback::Any => LbSubsetFallbackPolicy::AnyEndpoint,
            SubsetFallback::Default => LbSubsetFallbackPolicy::DefaultSubset,
        } as i32,
        default_subset: (!config.default_subset.is_empty()).then(|| encode_labels(&config.default_subset)),
        subset_selectors: config.selectors.iter().map(selector).collect(),
        locality_weight_aware: config.locality_weight_aware,
        scale_locality_weight: config.scale_locality_weight,
        panic_mode_any: config.panic_mode_any,
        list_as_any: config.list_as_any,
        ..LbSubsetConfig::default()
    }
}

/// The same as a balancing policy around others.
pub(super) fn encode_policy(config: &SubsetConfig, inner: cluster::LoadBalancingPolicy) -> Subset {
    // The same fields under the same numbers, so this cannot fail.
    let subset = Subset::decode(encode(config).encode_to_vec().as_slice()).unwrap_or_default();
    Subset { subset_lb_policy: Some(inner), ..subset }
}

/// The subsets of a message; none without a selector, as Envoy has it.
pub(super) fn decode(config: &LbSubsetConfig) -> Check<Option<Box<SubsetConfig>>> {
    refuse!(config; metadata_fallback_policy);
    let fallback = match LbSubsetFallbackPolicy::try_from(config.fallback_policy) {
        Ok(LbSubsetFallbackPolicy::NoFallback) => SubsetFallback::None,
        Ok(LbSubsetFallbackPolicy::AnyEndpoint) => SubsetFallback::Any,
        Ok(LbSubsetFallbackPolicy::DefaultSubset) => SubsetFallback::Default,
        Err(_) => {
            return Err(Fault::of("fallback_policy", format!("{} is unknown", config.fallback_policy)));
        }
    };
    let selectors =
        each("subset_selectors", &config.subset_selectors, limits::SUBSET_SELECTORS, from_selector)?;
    if selectors.is_empty() {
        return Ok(None);
    }
    let default_subset = match &config.default_subset {
        Some(fields) => from_wanted(fields).at("default_subset")?,
        None => Labels::new(),
    };
    Ok(Some(Box::new(SubsetConfig {
        selectors,
        fallback,
        default_subset,
        locality_weight_aware: config.locality_weight_aware,
        scale_locality_weight: config.scale_locality_weight,
        panic_mode_any: config.panic_mode_any,
        list_as_any: config.list_as_any,
    })))
}

/// The subsets of a balancing policy, and the policy within.
pub(super) fn decode_policy(
    policy: &Subset,
) -> Check<(Option<Box<SubsetConfig>>, &cluster::LoadBalancingPolicy)> {
    refuse!(policy; allow_redundant_keys);
    let inner = required("subset_lb_policy", policy.subset_lb_policy.as_ref())?;
    let rest = Subset { subset_lb_policy: None, ..policy.clone() };
    let config = LbSubsetConfig::decode(rest.encode_to_vec().as_slice())
        .map_err(|error| Fault::new(format!("no valid subsets: {error}")))?;
    Ok((decode(&config)?, inner))
}

fn from_selector(selector: &LbSubsetSelector) -> Check<SubsetSelector> {
    refuse!(selector; single_host_per_subset);
    let keys = from_keys("keys", &selector.keys)?;
    if keys.is_empty() {
        return Err(Fault::of("keys", "empty"));
    }
    let fallback = match LbSubsetSelectorFallbackPolicy::try_from(selector.fallback_policy) {
        Ok(LbSubsetSelectorFallbackPolicy::NotDefined) => None,
        Ok(LbSubsetSelectorFallbackPolicy::NoFallback) => Some(SelectorFallback::Of(SubsetFallback::None)),
        Ok(LbSubsetSelectorFallbackPolicy::AnyEndpoint) => Some(SelectorFallback::Of(SubsetFallback::Any)),
        Ok(LbSubsetSelectorFallbackPolicy::DefaultSubset) => {
            Some(SelectorFallback::Of(SubsetFallback::Default))
        }
        Ok(LbSubsetSelectorFallbackPolicy::KeysSubset) => {
            let fewer = from_keys("fallback_keys_subset", &selector.fallback_keys_subset)?;
            let within = fewer.iter().all(|key| keys.binary_search(key).is_ok());
            if fewer.is_empty() || fewer.len() == keys.len() || !within {
                return Err(Fault::of("fallback_keys_subset", "must be some of `keys` and not all of them"));
            }
            Some(SelectorFallback::Keys(fewer))
        }
        Err(_) => {
            return Err(Fault::of("fallback_policy", format!("{} is unknown", selector.fallback_policy)));
        }
    };
    if !matches!(fallback, Some(SelectorFallback::Keys(_))) && !selector.fallback_keys_subset.is_empty() {
        return Err(Fault::of("fallback_keys_subset", "only together with KEYS_SUBSET"));
    }
    Ok(SubsetSelector { keys, fallback })
}

fn from_keys(field: &str, keys: &[String]) -> Check<Vec<String>> {
    let mut keys = each(field, keys, limits::LABELS, |key| wire::name("", key))?;
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
}

/// Metadata that says labels, added to what it says already.
pub(super) fn add_labels(labels: &Labels, metadata: Option<core::Metadata>) -> Option<core::Metadata> {
    if labels.is_empty() {
        return metadata;
    }
    let mut metadata = metadata.unwrap_or_default();
    metadata.filter_metadata.insert(KEY.to_owned(), encode_labels(labels));
    Some(metadata)
}

/// The labels of an endpoint. Values that nothing can select by are passed over.
pub(super) fn endpoint_labels(metadata: Option<&core::Metadata>) -> Check<Labels> {
    let Some(fields) = metadata.and_then(|metadata| metadata.filter_metadata.get(KEY)) else {
        return Ok(Labels::new());
    };
    let found = labels(fields).at(&format!("metadata.filter_metadata.{KEY}"))?;
    Ok(found.into_iter().filter_map(|(key, label)| Some((key, label.ok()?))).collect())
}

/// Metadata of a route that asks for a subset.
pub(super) fn encode_wanted(labels: Option<&Labels>) -> Option<core::Metadata> {
    labels.and_then(|labels| add_labels(labels, None))
}

/// The subset that a route asks for by `metadata_match`.
pub(super) fn wanted(metadata: Option<&core::Metadata>) -> Check<Labels> {
    match metadata.and_then(|metadata| metadata.filter_metadata.get(KEY)) {
        Some(fields) => from_wanted(fields).at(&format!("filter_metadata.{KEY}")),
        None => Ok(Labels::new()),
    }
}

fn from_wanted(fields: &google::Struct) -> Check<Labels> {
    labels(fields)?.into_iter().map(|(key, label)| Ok((key, label?))).collect()
}

fn encode_labels(labels: &Labels) -> google::Struct {
    let fields = labels.iter().map(|(key, label)| (key.clone(), encode_label(label)));
    google::Struct { fields: fields.collect() }
}

fn encode_label(label: &Label) -> google::Value {
    let kind = match label {
        Label::Text(text) => Kind::StringValue(text.clone()),
        Label::Number(bits) => Kind::NumberValue(f64::from_bits(*bits)),
        Label::Bool(value) => Kind::BoolValue(*value),
        Label::Null => Kind::NullValue(0),
        Label::List(list) => {
            Kind::ListValue(google::ListValue { values: list.iter().map(encode_label).collect() })
        }
    };
    google::Value { kind: Some(kind) }
}

/// Every label, or what is wrong with its value.
fn labels(fields: &google::Struct) -> Check<BTreeMap<String, Check<Label>>> {
    if fields.fields.len() > limits::LABELS {
        return Err(Fault::new(format!(
            "{} labels, at most {} are taken",
            fields.fields.len(),
            limits::LABELS
        )));
    }
    let label = |(key, value): (&String, &google::Value)| {
        let key = wire::name("key", key)?;
        let label = from_label(value, true).at(wire::cut(&key));
        Ok((key, label))
    };
    fields.fields.iter().map(label).collect()
}

fn from_label(value: &google::Value, lists: bool) -> Check<Label> {
    match &value.kind {
        Some(Kind::StringValue(text)) if text.len() <= limits::NAME_BYTES => Ok(Label::Text(text.clone())),
        Some(Kind::StringValue(_)) => Err(Fault::new(format!("longer than {} bytes", limits::NAME_BYTES))),
        Some(Kind::NumberValue(number)) if number.is_nan() => Err(Fault::new("no number")),
        // Zero and minus zero are the same.
        Some(Kind::NumberValue(number)) => Ok(Label::Number((number + 0.0).to_bits())),
        Some(Kind::BoolValue(value)) => Ok(Label::Bool(*value)),
        Some(Kind::NullValue(_)) => Ok(Label::Null),
        Some(Kind::ListValue(list)) if lists => {
            let values = each("", &list.values, limits::LABELS, |value| from_label(value, false))?;
            Ok(Label::List(values))
        }
        Some(Kind::ListValue(_) | Kind::StructValue(_)) | None => {
            Err(Fault::new("only texts, numbers, booleans, null and lists of them are supported"))
        }
    }
}
