//! Links listeners: what is compiled of them when they arrive, and what of it is served.
//!
//! Routes that are written in a listener are kept under its name; those of one of its filter chains under its name and the chain's place.

use std::sync::Arc;

use weir_decide::chain::{self, ChainError};
use weir_decide::route::FieldCompiler;
use weir_decide::split::Split;
use weir_model::{
    ChainKind, FilterChains, HttpListener, ListenerKind as Model, Resource, ResourceSet, ResourceType,
    RouteSource, TcpListener, Version, limits,
};

use super::Linker;
use super::prepare::{LinkError, check_filters};
use crate::snapshot::{Chains, Detection, Listener, ListenerKind, Tcp};

/// Between a listener's name and the place of one of its chains: no name has it.
const OF_CHAIN: char = '\0';

/// The key of a chain's routes; the chain for all other connections comes after the last one.
fn chain_key(listener: &str, place: usize) -> String {
    format!("{listener}{OF_CHAIN}{place}")
}

/// The resource that routes under a key are from.
pub(super) fn of_key(key: &str) -> &str {
    key.split(OF_CHAIN).next().unwrap_or(key)
}

/// Whether the resources in force have the routes of a key.
pub(super) fn has_routes(effective: &ResourceSet, kind: ResourceType, key: &str) -> bool {
    let Some((_, resource)) = effective.get(kind, of_key(key)) else { return false };
    let inline = |http: &HttpListener| matches!(http.routes, RouteSource::Inline(_));
    match &**resource {
        Resource::Listener(listener) => match &listener.kind {
            Model::Http(http) => inline(http) && of_key(key) == key,
            Model::Tcp(_) => false,
            Model::Chains(chains) => {
                let place = key.split_once(OF_CHAIN).and_then(|(_, place)| place.parse::<usize>().ok());
                let kind = place.and_then(|place| chains.kinds().nth(place));
                kind.and_then(ChainKind::as_http).is_some_and(inline)
            }
        },
        _ => true,
    }
}

impl Linker {
    pub(super) fn prepare_listener(
        &mut self,
        version: Version,
        listener: &weir_model::Listener,
    ) -> Result<(), LinkError> {
        match &listener.kind {
            Model::Http(http) => self.prepare_http(listener.name.clone(), version, http),
            Model::Tcp(tcp) => check_tcp(tcp),
            Model::Chains(_) if listener.address.is_none() => {
                let message = "filter chains need an address; only one filter is asked for by name";
                Err(LinkError::new("address", message))
            }
            Model::Chains(chains) => {
                tree(chains)?;
                for (place, kind) in chains.kinds().enumerate() {
                    let within = |error: LinkError| {
                        let field = match place < chains.chains.len() {
                            true => format!("filter_chains[{place}].{}", error.field),
                            false => format!("default_filter_chain.{}", error.field),
                        };
                        LinkError { field, ..error }
                    };
                    match kind {
                        ChainKind::Http(http) => {
                            self.prepare_http(chain_key(&listener.name, place), version, http)
                        }
                        ChainKind::Tcp(tcp) => check_tcp(tcp),
                    }
                    .map_err(within)?;
                }
                Ok(())
            }
        }
    }

    fn prepare_http(&mut self, key: String, version: Version, http: &HttpListener) -> Result<(), LinkError> {
        check_filters(http.filters.as_deref(), &mut FieldCompiler::default())
            .map_err(|error| LinkError { field: format!("http_filters.{}", error.field), ..error })?;
        if let Some(detection) = &http.detection {
            check_tcp(&detection.otherwise)?;
        }
        match &http.routes {
            RouteSource::Rds(_) => Ok(()),
            RouteSource::Inline(routes) => self
                .prepare_routes((ResourceType::Listener, key), version, routes)
                .map_err(|error| LinkError { field: format!("route_config.{}", error.field), ..error }),
        }
    }

    pub(super) fn link_listener(
        &mut self,
        version: Version,
        listener: &weir_model::Listener,
    ) -> Result<Listener, LinkError> {
        let kind = match &listener.kind {
            Model::Http(http) => self.http(listener.name.clone(), &listener.name, version, http)?,
            Model::Tcp(tcp) => ListenerKind::Tcp(self.tcp(tcp)?),
            Model::Chains(model) => {
                let mut kinds = Vec::with_capacity(model.chains.len() + 1);
                for (place, kind) in model.kinds().enumerate() {
                    kinds.push(match kind {
                        ChainKind::Http(http) => {
                            let key = chain_key(&listener.name, place);
                            self.http(key, &format!("{}/{place}", listener.name), version, http)?
                        }
                        ChainKind::Tcp(tcp) => ListenerKind::Tcp(self.tcp(tcp)?),
                    });
                }
                let matches = model.chains.iter().map(|chain| &chain.matches);
                ListenerKind::Chains(Arc::new(Chains::new(model.inspect, tree(model)?, matches, kinds)))
            }
        };
        Ok(Listener {
            name: listener.name.as_str().into(),
            address: listener.address.map(|address| self.bound.get(&address).copied().unwrap_or(address)),
            direction: listener.direction,
            kind,
        })
    }

    fn http(
        &mut self,
        key: String,
        place: &str,
        version: Version,
        http: &HttpListener,
    ) -> Result<ListenerKind, LinkError> {
        let routes = match &http.routes {
            RouteSource::Rds(name) => {
                let missing = || LinkError::new("rds", format!("route configuration {name} is missing"));
                let linked = self.routes.get(&(ResourceType::Route, name.clone()));
                linked.map(|(_, routes)| routes.clone()).ok_or_else(missing)?
            }
            RouteSource::Inline(routes) => {
                self.link_routes((ResourceType::Listener, key), version, routes)?
            }
        };
        let detection = match &http.detection {
            Some(found) => Some(Detection { otherwise: self.tcp(&found.otherwise)?, wait: found.wait }),
            None => None,
        };
        let place = || format!("listener/{place}");
        let filters = self
            .filters
            .link(place, http.filters.as_deref(), None, &mut FieldCompiler::default())
            .map_err(|error| LinkError::new(error.field, error.message))?;
        Ok(ListenerKind::Http {
            routes,
            tracing: http.tracing.clone(),
            access_log: http.access_log.clone(),
            detection,
            filters,
            paths: http.paths,
            forwarded: http.forwarded,
            limits: http.limits,
            manner: http.manner.clone(),
        })
    }

    fn tcp(&self, model: &TcpListener) -> Result<Arc<Tcp>, LinkError> {
        let weights: Vec<u32> = model.targets.iter().map(|target| target.weight).collect();
        let split = Split::new(&weights).ok_or_else(|| LinkError::new("", "no cluster has a weight"))?;
        let targets = model.targets.iter().map(|target| self.slot(&target.cluster));
        Ok(Arc::new(Tcp {
            split,
            targets: targets.collect::<Result<_, LinkError>>()?,
            attempts: model.attempts.max(1),
            idle_timeout: model.idle_timeout,
            max_duration: model.max_duration,
            hash_source: model.hash_source,
            access_log: model.access_log.clone(),
        }))
    }
}

fn check_tcp(tcp: &TcpListener) -> Result<(), LinkError> {
    let sum: u64 = tcp.targets.iter().map(|target| u64::from(target.weight)).sum();
    match (1..=u64::from(u32::MAX)).contains(&sum) {
        true => Ok(()),
        false => {
            let message =
                format!("the weights sum to {sum}; they must sum to at least 1 and at most {}", u32::MAX);
            Err(LinkError::new("weighted_clusters", message))
        }
    }
}

/// The matches of a listener's chains.
fn tree(chains: &FilterChains) -> Result<chain::Chains, LinkError> {
    if chains.chains.len() > limits::FILTER_CHAINS {
        let message = format!("{} chains, more than {}", chains.chains.len(), limits::FILTER_CHAINS);
        return Err(LinkError::new("filter_chains", message));
    }
    chain::Chains::new(chains.chains.iter().map(|chain| &chain.matches)).map_err(|error| {
        let (ChainError::Same { chain, .. } | ChainError::TooMany { chain }) = &error;
        LinkError::new(format!("filter_chains[{chain}].filter_chain_match"), error.to_string())
    })
}

#[cfg(test)]
mod tests;
