//! weir's `RouteFilter`: what a rule of an `HTTPRoute` or a `GRPCRoute` has beyond what the Gateway API can say. A rule refers to it by a filter
//! of type `ExtensionRef`, so it is written where it applies, and what is still referred to cannot be deleted.
//!
//! `callers` is a match rather than a filter. It stands here because a route has to stay one that Kubernetes takes, and because a policy that
//! attached itself to the rule from elsewhere would widen the rule to everybody when it is deleted.

use crate::decode::{At, Schema, excerpt};
use crate::parse::{fields, non_empty, read_label, read_labels, read_subdomain};
use crate::traffic_policy::actions::{answer, limits};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use weir_model::Priority;
use weir_model::mesh::{Caller, Name, RouteFilter};

/// Descriptions of callers in one filter.
const CALLERS: usize = 16;
/// Namespaces, or service accounts, in one description.
const NAMES: usize = 64;

const PRIORITIES: [(&str, Priority); 2] = [("Default", Priority::Default), ("High", Priority::High)];

pub(crate) fn read(at: &At<'_>, namespace: &str) -> Option<RouteFilter> {
    let spec = at.object(&Schema::of(&["callers", "directResponse", "rateLimits", "priority"]))?;
    let callers = match spec.get("callers") {
        Some(at) => read_callers(&at, namespace),
        None => Some(Vec::new()),
    };
    let answer = match spec.get("directResponse") {
        Some(at) => answer::read(&at, answer::DIRECT).map(Some),
        None => Some(None),
    };
    let limits = spec.get("rateLimits").map(|at| limits::read(&at)).unwrap_or_default();
    let priority = match spec.get_text("priority") {
        Some((at, _)) => at.word(&PRIORITIES).map(Some),
        None => Some(None),
    };
    let filter = RouteFilter { callers: callers?, answer: answer?, limits, priority: priority? };
    if filter == RouteFilter::default() && spec.get("rateLimits").is_none() {
        at.warning("the filter changes nothing", "say what it is to change, or delete it");
    }
    if let (Some(_), Some(_), Some(at)) = (&filter.answer, &filter.limits.service, spec.get("rateLimits")) {
        at.error(
            "the service does not see requests that are answered by directResponse",
            "write enforcedBy: Caller, or remove one of the two",
        );
    }
    Some(filter)
}

fn read_callers(at: &At<'_>, namespace: &str) -> Option<Vec<Caller>> {
    let callers: Vec<_> = at.list(1..=CALLERS)?.iter().map(|at| read_caller(at, namespace)).collect();
    callers.into_iter().collect()
}

fn read_caller(at: &At<'_>, namespace: &str) -> Option<Caller> {
    let caller = at.object(&Schema::of(&["namespaces", "serviceAccounts", "labels"]))?;
    let namespaces = match caller.get("namespaces") {
        Some(at) => read_names(&at, read_label),
        None => Some(BTreeSet::new()),
    };
    let service_accounts = match caller.get("serviceAccounts") {
        Some(at) => read_names(&at, |at, text| read_account(at, text, namespace)),
        None => Some(BTreeSet::new()),
    };
    let labels = match caller.get("labels") {
        Some(at) => read_labels(&at),
        None => Some(Default::default()),
    };
    let caller = Caller { namespaces: namespaces?, service_accounts: service_accounts?, labels: labels? };
    if caller == Caller::default() {
        at.error(
            "it describes every caller",
            "name namespaces, serviceAccounts or labels, or remove callers",
        );
        return None;
    }
    let outside =
        |account: &&Name| !caller.namespaces.is_empty() && !caller.namespaces.contains(&account.namespace);
    if let Some(account) = caller.service_accounts.iter().find(outside) {
        at.error(
            format!("service account {account} is in none of the namespaces"),
            "remove it, or add its namespace",
        );
        return None;
    }
    Some(caller)
}

fn read_names<T: Ord>(at: &At<'_>, read: impl Fn(&At<'_>, &str) -> Option<T>) -> Option<BTreeSet<T>> {
    let names: Vec<_> = at.list(1..=NAMES)?.iter().map(|at| read(at, at.text()?)).collect();
    names.into_iter().collect()
}

/// `NAME` of the filter's own namespace, or `NAMESPACE/NAME`.
fn read_account(at: &At<'_>, text: &str, own: &str) -> Option<Name> {
    match text.split_once('/') {
        None => Some(Name::new(own, read_subdomain(at, text)?)),
        Some((namespace, name)) if !name.contains('/') => {
            let (namespace, name) = (read_label(at, namespace), read_subdomain(at, name));
            Some(Name::new(namespace?, name?))
        }
        Some(_) => {
            let found = excerpt(&Value::from(text));
            at.error(format!("{found} is not a service account"), "write NAME or NAMESPACE/NAME");
            None
        }
    }
}

pub(crate) fn write(filter: &RouteFilter, namespace: &str) -> Value {
    let priority = filter.priority.map(|priority| match priority {
        Priority::Default => json!("Default"),
        Priority::High => json!("High"),
    });
    fields([
        ("callers", non_empty(filter.callers.iter().map(|caller| write_caller(caller, namespace)).collect())),
        ("directResponse", filter.answer.as_ref().map(|said| answer::write(said, answer::DIRECT))),
        ("rateLimits", limits::write(&filter.limits)),
        ("priority", priority),
    ])
}

fn write_caller(caller: &Caller, own: &str) -> Value {
    let account = |account: &Name| match account.namespace == own {
        true => json!(account.name),
        false => json!(account.to_string()),
    };
    fields([
        ("namespaces", non_empty(caller.namespaces.iter().map(|name| json!(name)).collect())),
        ("serviceAccounts", non_empty(caller.service_accounts.iter().map(account).collect())),
        ("labels", (!caller.labels.is_empty()).then(|| json!(caller.labels))),
    ])
}

#[cfg(test)]
pub(crate) mod tests;
