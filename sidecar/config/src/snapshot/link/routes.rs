//! Links route configurations: what they match on is compiled, where they send requests becomes indices.

use std::collections::HashMap;
use std::sync::Arc;

use weir_decide::balance::subset::Wanted;
use weir_decide::route::FieldCompiler;
use weir_decide::split::Split;
use weir_model::{HeaderMutation, PathMatch, ResourceType, RouteAction, RouteConfiguration, Version};

use super::Linker;
use super::more::Shared;
use super::prepare::{LinkError, compile, compile_retry};
use crate::snapshot::filters::Filters;
use crate::snapshot::{Action, Fallback, Forward, Mirror, Route, Routes, Target};

/// What was linked of one configuration, by what it was linked from.
struct Forwards<'a> {
    known: HashMap<&'a weir_model::Forward, Arc<Forward>>,
    fields: FieldCompiler,
    shared: Shared<'a>,
}

impl Linker {
    pub(super) fn prepare_routes(
        &mut self,
        key: (ResourceType, String),
        version: Version,
        routes: &RouteConfiguration,
    ) -> Result<(), LinkError> {
        let known = |(linked, _): &(Version, Arc<Routes>)| *linked == version;
        if self.routes.get(&key).is_some_and(known) {
            self.prepared.remove(&key);
            return Ok(());
        }
        if self.prepared.get(&key).is_some_and(|(prepared, _)| *prepared == version) {
            return Ok(());
        }
        let matcher = compile(routes)?;
        self.prepared.insert(key, (version, Arc::new(matcher)));
        Ok(())
    }

    pub(super) fn link_routes(
        &mut self,
        key: (ResourceType, String),
        version: Version,
        model: &RouteConfiguration,
    ) -> Result<Arc<Routes>, LinkError> {
        let matcher = match self.prepared.get(&key) {
            Some((prepared, matcher)) if *prepared == version => Some(matcher.clone()),
            _ => None,
        };
        let matcher = match (self.routes.get(&key), matcher) {
            (Some((linked, routes)), _) if *linked == version => return Ok(routes.clone()),
            (_, Some(matcher)) => matcher,
            (_, None) => Arc::new(compile(model)?),
        };
        let mut forwards =
            Forwards { known: HashMap::new(), fields: FieldCompiler::default(), shared: Shared::new(model) };
        let mut hosts = Vec::with_capacity(model.virtual_hosts.len());
        for host in &model.virtual_hosts {
            forwards.shared.enter(host);
            let place = format!("{}/{}/{}", key.0, key.1, host.name);
            let fields = &mut forwards.fields;
            let wide = self.filters.link(|| place.clone(), host.filters.as_deref(), None, fields);
            let wide = wide.map_err(|error| LinkError::new(error.field, error.message))?;
            let routes: Result<Vec<Route>, LinkError> = host
                .routes
                .iter()
                .enumerate()
                .map(|(index, route)| self.route(route, (&place, index), wide.as_ref(), &mut forwards))
                .collect();
            hosts.push(routes?);
        }
        let routes = Arc::new(Routes { name: model.name.as_str().into(), matcher, hosts });
        if self.prepared.get(&key).is_some_and(|(prepared, _)| *prepared == version) {
            self.prepared.remove(&key);
        }
        if let Some((_, old)) = self.routes.insert(key, (version, routes.clone())) {
            self.route_ids.release(&old);
        }
        Ok(routes)
    }

    fn route<'a>(
        &mut self,
        route: &'a weir_model::Route,
        (host, index): (&str, usize),
        wide: Option<&Arc<Filters>>,
        forwards: &mut Forwards<'a>,
    ) -> Result<Route, LinkError> {
        let place = || match route.name.as_str() {
            "" => format!("{host}/#{index}"),
            name => format!("{host}/{name}"),
        };
        let limits = route.filters.as_ref().and_then(|filters| filters.limits.as_ref());
        let shared = limits.is_some_and(|limits| limits.shared);
        let place = || if shared { format!("{host}//shared") } else { place() };
        let filters = self.filters.link(place, route.filters.as_deref(), wide, &mut forwards.fields);
        let filters = filters.map_err(|error| LinkError::new(error.field, error.message))?;
        let action = match &route.action {
            RouteAction::Forward(model) => Action::Forward(match forwards.known.get(model) {
                Some(forward) => forward.clone(),
                None => {
                    let within = |error: LinkError| LinkError {
                        message: format!("route {}: {}", route.name, error.message),
                        ..error
                    };
                    let forward = Arc::new(self.forward(model, &mut forwards.fields).map_err(within)?);
                    forwards.known.insert(model, forward.clone());
                    forward
                }
            }),
            RouteAction::Redirect(redirect) => Action::Redirect(Box::new(redirect.clone())),
            RouteAction::Direct(direct) => Action::Direct(Box::new(direct.clone())),
        };
        let counted = if route.stat_prefix.is_empty() { &route.name } else { &route.stat_prefix };
        let (stat_prefix, id) = self.route_ids.acquire(counted);
        let more = forwards.shared.more(route)?;
        // Where there are several levels, the route's own is one of them.
        let own = more.as_ref().is_none_or(|more| more.levels.is_none());
        let changes =
            |headers: &HeaderMutation| (own && !headers.is_empty()).then(|| Box::new(headers.clone()));
        Ok(Route {
            id,
            name: route.name.as_str().into(),
            stat_prefix,
            request_headers: changes(&route.request_headers),
            response_headers: changes(&route.response_headers),
            action,
            filters,
            more,
            prefix: match &route.matches.path {
                PathMatch::Prefix(prefix) | PathMatch::Characters(prefix) => Some(prefix.as_str().into()),
                PathMatch::Exact(_) | PathMatch::Regex(_) => None,
            },
        })
    }

    fn forward(&self, model: &weir_model::Forward, fields: &mut FieldCompiler) -> Result<Forward, LinkError> {
        let weights: Vec<u32> = model.clusters.iter().map(|target| target.weight).collect();
        let split = Split::new(&weights).ok_or_else(|| LinkError::new("", "no cluster has a weight"))?;
        let mut targets = Vec::with_capacity(model.clusters.len());
        for target in &model.clusters {
            targets.push(Target {
                cluster: self.slot(&target.cluster)?,
                subset: target.subset.as_deref().map(|labels| Box::new(Wanted::new(labels.clone()))),
                key: weir_decide::affinity::cluster_key(&target.cluster),
                request_headers: target.request_headers.clone(),
                response_headers: target.response_headers.clone(),
            });
        }
        let fallback = match model.fallback.as_deref() {
            Some(weir_model::Fallback::Cluster(cluster)) => Some(Fallback::Cluster(self.slot(cluster)?)),
            Some(weir_model::Fallback::Direct(direct)) => Some(Fallback::Direct(direct.clone())),
            None => None,
        };
        let mirrors = model.mirrors.iter().map(|mirror| {
            let (fraction, marks_host) = (mirror.fraction, mirror.marks_host);
            Ok(Mirror { cluster: self.slot(&mirror.cluster)?, fraction, marks_host })
        });
        Ok(Forward {
            split,
            targets,
            rewrite: model.rewrite.clone(),
            timeouts: model.timeouts.clone(),
            affinity: model.affinity.clone(),
            retry: model.retry.as_ref().map(|retry| compile_retry(retry, fields)).transpose()?,
            priority: model.priority,
            mirrors: mirrors.collect::<Result<_, LinkError>>()?,
            fallback: fallback.map(Box::new),
        })
    }
}
