//! weir's `RouteFilter`: what a rule of a route has beyond what the Gateway API can say, and whose requests a rule is for.

use super::{HttpFilters, HttpRoute, Mesh, Name};
use crate::node::Node;
use crate::{Priority, RateLimits, StaticAnswer};
use std::collections::{BTreeMap, BTreeSet};

/// The service account of a workload that did not say which one is its own (Kubernetes' default).
pub const SERVICE_ACCOUNT: &str = "default";

/// What rules of routes refer to (`ExtensionRef`). What is absent is as it is without it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct RouteFilter {
    /// Whose requests the rule is for: what one of these describes; everybody's if empty.
    pub callers: Vec<Caller>,
    /// The rule answers by itself; such a rule has no backends.
    pub answer: Option<StaticAnswer>,
    /// How many requests of the rule there may be.
    pub limits: AdmissionPolicy,
    /// Which circuit breakers count the rule's requests.
    pub priority: Option<Priority>,
}

/// Callers that have all of this in common.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Caller {
    /// They run in one of these namespaces; anywhere if empty.
    pub namespaces: BTreeSet<String>,
    /// They run as one of these service accounts (`spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/NAME`); as any if empty.
    pub service_accounts: BTreeSet<Name>,
    /// They carry all of these labels.
    pub labels: BTreeMap<String, String>,
}

/// Limits on the rate of requests, by who keeps them.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct AdmissionPolicy {
    /// Each of the service's own sidecars, for everybody who calls it.
    pub service: Option<RateLimits>,
    /// Each caller's own sidecar, for itself.
    pub caller: Option<RateLimits>,
}

/// Why a caller is none of those that a rule is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stranger {
    /// Which of its traits differs: `namespaces`, `serviceAccounts` or `labels`.
    pub field: &'static str,
    /// What is wanted and what it has, for people.
    pub reason: String,
}

impl Caller {
    /// Whether a node is such a caller; the first trait that differs, if it is none.
    pub fn admit(&self, node: &Node) -> Result<(), Stranger> {
        if !self.namespaces.is_empty() && !self.namespaces.contains(&node.namespace) {
            let wanted = self.namespaces.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            let reason = format!("namespace {wanted}; this one runs in {}", node.namespace);
            return Err(Stranger { field: "namespaces", reason });
        }
        let account = Name::new(&node.namespace, &node.service_account);
        if !self.service_accounts.is_empty() && !self.service_accounts.contains(&account) {
            let wanted = self.service_accounts.iter().map(Name::to_string).collect::<Vec<_>>().join(", ");
            let reason = format!("service account {wanted}; this one runs as {account}");
            return Err(Stranger { field: "serviceAccounts", reason });
        }
        match self.labels.iter().find(|(key, value)| node.labels.get(*key) != Some(value)) {
            None => Ok(()),
            Some((key, value)) => {
                let has = node
                    .labels
                    .get(key)
                    .map_or_else(|| "has no such label".to_owned(), |other| format!("has {key}={other}"));
                Err(Stranger { field: "labels", reason: format!("label {key}={value}; this one {has}") })
            }
        }
    }
}

impl RouteFilter {
    /// Whether the rule is for a node's requests; why not, if it is not, by the first caller that is described.
    pub fn admit(&self, node: &Node) -> Result<(), Stranger> {
        let mut first = Ok(());
        for caller in &self.callers {
            match caller.admit(node) {
                Ok(()) => return Ok(()),
                Err(stranger) => first = first.and(Err(stranger)),
            }
        }
        first
    }
}

impl Mesh {
    /// What the `RouteFilter`s of a rule say together, the first that says something of it each; the first that does not exist, if one
    /// does not. Nothing if the rule refers to none.
    pub fn extension(&self, filters: &HttpFilters) -> Result<Option<RouteFilter>, Name> {
        let mut said: Option<RouteFilter> = None;
        for name in &filters.extensions {
            let filter = self.route_filters.get(name).ok_or_else(|| name.clone())?;
            match &mut said {
                None => said = Some(filter.clone()),
                Some(said) => said.complete(filter),
            }
        }
        Ok(said)
    }

    /// Whether a rule is for the requests of some callers only.
    pub fn is_for_some(&self, filters: &HttpFilters) -> bool {
        let of = |name: &Name| self.route_filters.get(name).is_some_and(|filter| !filter.callers.is_empty());
        filters.extensions.iter().any(of)
    }

    /// Whether a rule is for a node's requests; why not, if it is not. A rule whose filter does not exist is for everybody: it answers that
    /// it is broken.
    pub fn admit<'a>(&self, filters: &'a HttpFilters, node: &Node) -> Result<(), (&'a Name, Stranger)> {
        for name in &filters.extensions {
            if let Some(filter) = self.route_filters.get(name) {
                filter.admit(node).map_err(|stranger| (name, stranger))?;
            }
        }
        Ok(())
    }

    /// Whether any rule of a route is for a node's requests.
    pub fn admits_any(&self, route: &HttpRoute, node: &Node) -> bool {
        route.rules.is_empty() || route.rules.iter().any(|rule| self.admit(&rule.filters, node).is_ok())
    }
}

impl RouteFilter {
    /// Takes over what this one does not say. Callers stay those of the first: every filter of a rule is asked about them by itself.
    fn complete(&mut self, other: &RouteFilter) {
        let RouteFilter { callers: _, answer, limits, priority } = other;
        self.answer = self.answer.take().or_else(|| answer.clone());
        self.priority = self.priority.or(*priority);
        let own = &mut self.limits;
        own.service = own.service.take().or_else(|| limits.service.clone());
        own.caller = own.caller.take().or_else(|| limits.caller.clone());
    }
}

#[cfg(test)]
mod tests;
