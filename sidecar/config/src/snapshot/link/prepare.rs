//! What of a resource can be checked and compiled by itself, and the error that names its field.

use weir_decide::balance::subset;
use weir_decide::cors::Cors;
use weir_decide::fault::Fault;
use weir_decide::retry::Retry;
use weir_decide::route::{FieldCompiler, Matcher, RouteError};
use weir_model::{
    Discovery, Dns, Endpoint, Endpoints, LocalityEndpoints, Resource, ResourceSet, ResourceType, RetryPolicy,
    RouteAction, RouteConfiguration, limits,
};

/// Why a resource cannot be served.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkError {
    /// The field, such as `virtual_hosts[0].routes[3].match.path.regex`; empty for the whole resource.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl LinkError {
    pub(super) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl std::fmt::Display for LinkError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for LinkError {}

/// Compiles the matches, and checks what linking relies on.
pub(super) fn compile(routes: &RouteConfiguration) -> Result<Matcher, LinkError> {
    let mut fields = FieldCompiler::default();
    for (h, host) in routes.virtual_hosts.iter().enumerate() {
        if host.routes.len() > limits::ROUTES {
            let message = format!("{} routes, more than {}", host.routes.len(), limits::ROUTES);
            return Err(LinkError::new(format!("virtual_hosts[{h}].routes"), message));
        }
        let within = |field: String, error: LinkError| LinkError {
            field: format!("{field}.typed_per_filter_config.{}", error.field),
            ..error
        };
        check_filters(host.filters.as_deref(), &mut fields)
            .map_err(|error| within(format!("virtual_hosts[{h}]"), error))?;
        for (r, route) in host.routes.iter().enumerate() {
            check_filters(route.filters.as_deref(), &mut fields)
                .map_err(|error| within(format!("virtual_hosts[{h}].routes[{r}]"), error))?;
            super::more::check(route).map_err(|error| LinkError {
                field: format!("virtual_hosts[{h}].routes[{r}].{}", error.field),
                ..error
            })?;
            let RouteAction::Forward(forward) = &route.action else { continue };
            if let Some(retry) = &forward.retry {
                let field = format!("virtual_hosts[{h}].routes[{r}].route.retry_policy");
                compile_retry(retry, &mut fields)
                    .map_err(|error| LinkError { field: format!("{field}.{}", error.field), ..error })?;
            }
            let sum: u64 = forward.clusters.iter().map(|target| u64::from(target.weight)).sum();
            if sum == 0 || sum > u64::from(u32::MAX) {
                let field = format!("virtual_hosts[{h}].routes[{r}].route.weighted_clusters");
                let message =
                    format!("the weights sum to {sum}; they must sum to at least 1 and at most {}", u32::MAX);
                return Err(LinkError::new(field, message));
            }
        }
    }
    Matcher::compile(routes).map_err(|error| LinkError::new(error.field, error.message))
}

/// Compiles the conditions of a retry policy; the field of an error is that in the policy.
pub(super) fn compile_retry(retry: &RetryPolicy, fields: &mut FieldCompiler) -> Result<Retry, LinkError> {
    Retry::compile(retry, fields).map_err(|error| LinkError::new(error.field, error.message))
}

/// Compiles the conditions of filters; the field of an error is that in the filter.
pub(super) fn check_filters(
    filters: Option<&weir_model::Filters>,
    fields: &mut FieldCompiler,
) -> Result<(), LinkError> {
    let Some(filters) = filters else { return Ok(()) };
    let refused = |error: RouteError| LinkError::new(error.field, error.message);
    if let Some(fault) = &filters.fault {
        Fault::compile(fault, fields).map_err(refused)?;
    }
    if let Some(cors) = &filters.cors {
        Cors::compile(cors, fields).map_err(refused)?;
    }
    Ok(())
}

pub(super) fn check_cluster(cluster: &weir_model::Cluster) -> Result<(), LinkError> {
    if cluster.name.is_empty() {
        return Err(LinkError::new("name", "is empty"));
    }
    match &cluster.discovery {
        Discovery::Static(endpoints) => check_endpoints(endpoints, "load_assignment."),
        Discovery::Eds(name) if name.is_empty() => {
            Err(LinkError::new("eds_cluster_config.service_name", "is empty"))
        }
        Discovery::Eds(_) => Ok(()),
        Discovery::Dns(dns) => check_endpoints(&dns.endpoints, "load_assignment."),
    }
}

/// Refuses clusters and endpoints that would make too many subsets together with what was received before.
pub(crate) fn check_subsets(resource: &Resource, received: &ResourceSet) -> Result<(), LinkError> {
    let check = |cluster: &weir_model::Cluster, endpoints: &Endpoints, field: &str| {
        let Some(config) = &cluster.subsets else { return Ok(()) };
        if subset::count(config, endpoints) <= limits::SUBSETS {
            return Ok(());
        }
        let message = format!(
            "the endpoints of {} make more than {} subsets; select by keys with fewer values",
            cluster.name,
            limits::SUBSETS
        );
        Err(LinkError::new(field, message))
    };
    match resource {
        Resource::Cluster(cluster) if cluster.subsets.is_some() => match &cluster.discovery {
            Discovery::Static(endpoints) => check(cluster, endpoints, "lb_subset_config"),
            Discovery::Dns(dns) => check(cluster, &placeholders(dns), "lb_subset_config"),
            Discovery::Eds(name) => match received.get(ResourceType::Endpoints, name) {
                Some((_, known)) => match &**known {
                    Resource::Endpoints(endpoints) => check(cluster, endpoints, "lb_subset_config"),
                    _ => Ok(()),
                },
                None => Ok(()),
            },
        },
        // Only who has labels can be in a subset.
        Resource::Endpoints(endpoints)
            if endpoints.iter().any(|(_, endpoint)| endpoint.details.is_some()) =>
        {
            let clusters = received.of(ResourceType::Cluster).filter_map(|(.., known)| match &**known {
                Resource::Cluster(cluster) if cluster.subsets.is_some() => Some(cluster),
                _ => None,
            });
            let mut of = clusters.filter(
                |cluster| matches!(&cluster.discovery, Discovery::Eds(name) if *name == endpoints.name),
            );
            of.try_for_each(|cluster| check(cluster, endpoints, "endpoints"))
        }
        _ => Ok(()),
    }
}

/// An endpoint for each name: all addresses of one have its labels.
fn placeholders(dns: &Dns) -> Endpoints {
    let localities = dns.hosts.iter().map(|locality| LocalityEndpoints {
        locality: locality.locality.clone(),
        priority: locality.priority,
        weight: locality.weight,
        endpoints: locality
            .hosts
            .iter()
            .map(|host| Endpoint {
                address: ([0, 0, 0, 0], host.port).into(),
                workload: String::new(),
                health: host.health,
                weight: host.weight,
                details: host.details.clone(),
            })
            .collect(),
    });
    Endpoints { localities: localities.collect(), ..dns.endpoints.clone() }
}

pub(super) fn check_endpoints(endpoints: &Endpoints, within: &str) -> Result<(), LinkError> {
    let count = endpoints.iter().count();
    if count > limits::ENDPOINTS {
        let message = format!("{count} endpoints, more than {}", limits::ENDPOINTS);
        return Err(LinkError::new(format!("{within}endpoints"), message));
    }
    Ok(())
}
