//! What few route configurations and virtual hosts say besides: no policy does, other control planes do.

use super::{HeaderChanges, RouteAction, RouteConfiguration};

/// What few route configurations say besides.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct RoutesOptions {
    /// Changes for all routes.
    pub headers: HeaderChanges,
    /// Whether a route's changes come after its virtual host's, and those after the configuration's; else the other way round.
    pub most_specific_last: bool,
    /// Whether the port of an authority is left out when its virtual host is looked for.
    pub ignore_port: bool,
}

/// What few virtual hosts say besides.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct HostOptions {
    /// Changes for all its routes.
    pub headers: HeaderChanges,
    /// Whether upstreams are told which attempt a request is (`x-envoy-attempt-count`).
    pub tell_attempts: bool,
    /// Whether callers are told how many attempts there were (`x-envoy-attempt-count`).
    pub answer_attempts: bool,
}

impl RoutesOptions {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl HostOptions {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl RouteConfiguration {
    /// Whether it says of header fields what no policy does. Then the clusters of a split change requests before their route does, as with
    /// Envoy; else after it.
    pub fn in_envoys_order(&self) -> bool {
        let edits = |mutations: [&super::HeaderMutation; 2]| {
            mutations.into_iter().any(|mutation| mutation.edits.is_some())
        };
        self.options.as_ref().is_some_and(|options| !options.headers.is_empty())
            || self.virtual_hosts.iter().any(|host| {
                host.options.as_ref().is_some_and(|options| !options.headers.is_empty())
                    || host.routes.iter().any(|route| {
                        edits([&route.request_headers, &route.response_headers])
                            || matches!(&route.action, RouteAction::Forward(forward)
                            if forward.clusters.iter().any(|cluster| {
                                edits([&cluster.request_headers, &cluster.response_headers])
                            }))
                    })
            })
    }
}
