//! What nodes have in common, compiled once. Lives as long as one mesh: nothing here is ever out of date.

use crate::callers::RuleId;
use crate::near::Place;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_model::mesh::Name;
use weir_model::node::Target;
use weir_model::{Diagnostic, Filters, Resource, Route, Version};

/// A resource and its version.
pub(crate) type Versioned = (Version, Arc<Resource>);

/// Its version is the hash of its content.
pub(crate) fn versioned(resource: Resource) -> Versioned {
    (resource.version(), Arc::new(resource))
}

/// A port of a service.
pub(crate) type ServicePort = (Name, u16);

/// What was compiled already.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    pub(crate) endpoints: BTreeMap<EndpointsKey, Arc<Endpoints>>,
    pub(crate) clusters: BTreeMap<(Target, ServicePort), Arc<Cluster>>,
    pub(crate) routes: BTreeMap<RoutesKey, Arc<Routes>>,
}

/// Where the same endpoints apply: for a service's port, and where near ones come first, for all nodes of one place.
pub(crate) type EndpointsKey = (ServicePort, Option<Place>);

/// Where the same routes apply.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct RoutesKey {
    pub(crate) target: Target,
    pub(crate) service: ServicePort,
    /// The namespace whose consumer routes apply; none where the producer's do.
    pub(crate) consumer: Option<String>,
    /// Rules that are for other callers.
    pub(crate) withheld: BTreeSet<RuleId>,
}

/// Endpoints of a port of a service.
#[derive(Debug)]
pub(crate) struct Endpoints {
    pub(crate) resource: Versioned,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// The cluster of a port of a service.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) resource: Versioned,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// The routes of a port of a service.
#[derive(Debug)]
pub(crate) struct Routes {
    /// As a route configuration of its own, for clients that ask for a service by name.
    pub(crate) resource: Option<Versioned>,
    /// The routes themselves, where all services share one route configuration.
    pub(crate) routes: Vec<Route>,
    /// What is done with their requests besides, where all services share one route configuration.
    pub(crate) filters: Option<Box<Filters>>,
    /// The clusters they refer to.
    pub(crate) clusters: BTreeSet<ServicePort>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}
