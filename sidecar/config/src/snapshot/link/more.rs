//! Links what few routes do besides. In a configuration of which no route does, this costs a look at an `Option` for each.

use std::collections::HashMap;
use std::sync::Arc;

use weir_decide::route::{RouteError, Substitute};
use weir_model::access_log::{LogField, LogValue};
use weir_model::{
    EditValue, Forward, HeaderMutation, HostOptions, HostSource, PathRewrite, Route, RouteAction,
    RouteConfiguration, RoutesOptions, Substitution,
};

use super::prepare::LinkError;
use crate::snapshot::{Host, Levels, More};

/// What is said of one configuration, shared by its routes.
pub(super) struct Shared<'a> {
    options: Option<&'a RoutesOptions>,
    envoys_order: bool,
    wide: Arc<HeaderMutation>,
    wide_response: Arc<HeaderMutation>,
    host: HostShared<'a>,
    changes: HashMap<&'a HeaderMutation, Arc<HeaderMutation>>,
}

#[derive(Default)]
struct HostShared<'a> {
    options: Option<&'a HostOptions>,
    request: Arc<HeaderMutation>,
    response: Arc<HeaderMutation>,
    /// What routes that say nothing themselves do.
    plain: Option<Arc<More>>,
}

impl<'a> Shared<'a> {
    pub(super) fn new(model: &'a RouteConfiguration) -> Self {
        let options = model.options.as_deref();
        let wide = options.map(|options| &options.headers);
        Self {
            options,
            envoys_order: model.in_envoys_order(),
            wide: share(wide.map(|wide| &wide.request)),
            wide_response: share(wide.map(|wide| &wide.response)),
            host: HostShared::default(),
            changes: HashMap::new(),
        }
    }

    /// The routes that follow are those of this virtual host.
    pub(super) fn enter(&mut self, host: &'a weir_model::VirtualHost) {
        let options = host.options.as_deref();
        let headers = options.map(|options| &options.headers);
        self.host = HostShared {
            options,
            request: share(headers.map(|headers| &headers.request)),
            response: share(headers.map(|headers| &headers.response)),
            plain: None,
        };
    }

    /// What a route does besides.
    pub(super) fn more(&mut self, route: &'a Route) -> Result<Option<Arc<More>>, LinkError> {
        let forward = match &route.action {
            RouteAction::Forward(forward) => Some(forward),
            RouteAction::Redirect(_) | RouteAction::Direct(_) => None,
        };
        let changes_nothing = route.request_headers.is_empty()
            && route.response_headers.is_empty()
            && forward.is_none_or(|forward| {
                let changes = |one: &HeaderMutation| !one.is_empty();
                !forward
                    .clusters
                    .iter()
                    .any(|one| changes(&one.request_headers) || changes(&one.response_headers))
            });
        let (path, source, forwarded_host) = rewrites(route);
        if changes_nothing && path.is_none() && source.is_none() && !forwarded_host {
            if self.host.plain.is_none() {
                let more = self.without_rewrite(route, forward);
                self.host.plain = more.map(Arc::new);
            }
            return Ok(self.host.plain.clone());
        }
        let mut more = self.without_rewrite(route, forward).unwrap_or_default();
        let compile = |what: &Substitution| {
            Substitute::compile(what).map_err(|error: RouteError| LinkError::new(error.field, error.message))
        };
        more.path = path.map(compile).transpose()?;
        more.host = match source {
            Some(HostSource::Header(name)) => Some(Host::Header(name.clone())),
            Some(HostSource::Path(change)) => Some(Host::Path(compile(change)?)),
            Some(HostSource::Endpoint) => Some(Host::Endpoint),
            None => None,
        };
        more.forwarded_host = forwarded_host;
        let nothing = more.levels.is_none()
            && more.wanted.is_empty()
            && !more.tell_attempts
            && !more.answer_attempts
            && more.path.is_none()
            && more.host.is_none()
            && !more.forwarded_host;
        Ok((!nothing).then(|| Arc::new(more)))
    }

    fn without_rewrite(&mut self, route: &'a Route, forward: Option<&'a Forward>) -> Option<More> {
        let tells = |of: fn(&HostOptions) -> bool| self.host.options.is_some_and(of);
        let mut more = More {
            tell_attempts: tells(|options| options.tell_attempts),
            answer_attempts: tells(|options| options.answer_attempts),
            ..More::default()
        };
        if self.envoys_order {
            let most_specific_last = self.options.is_some_and(|options| options.most_specific_last);
            let mut own = |mutation: &'a HeaderMutation| match self.changes.get(mutation) {
                Some(known) => known.clone(),
                None => {
                    let shared = Arc::new(mutation.clone());
                    self.changes.insert(mutation, shared.clone());
                    shared
                }
            };
            let (request, response) = (own(&route.request_headers), own(&route.response_headers));
            let order = |mut levels: Vec<Arc<HeaderMutation>>| {
                if most_specific_last {
                    levels.reverse();
                }
                levels.retain(|level| !level.is_empty());
                levels
            };
            let levels = Levels {
                request: order(vec![request, self.host.request.clone(), self.wide.clone()]),
                response: order(vec![response, self.host.response.clone(), self.wide_response.clone()]),
            };
            let mut wanted = Vec::new();
            levels.response.iter().for_each(|mutation| want(mutation, &mut wanted));
            for target in forward.into_iter().flat_map(|forward| &forward.clusters) {
                want(&target.response_headers, &mut wanted);
            }
            more.wanted = wanted.into();
            if !levels.request.is_empty() || !levels.response.is_empty() {
                more.levels = Some(levels);
            }
        }
        let something =
            more.levels.is_some() || !more.wanted.is_empty() || more.tell_attempts || more.answer_attempts;
        something.then_some(more)
    }
}

fn share(mutation: Option<&HeaderMutation>) -> Arc<HeaderMutation> {
    mutation.map(|mutation| Arc::new(mutation.clone())).unwrap_or_default()
}

/// What a route rewrites in ways of its own: its path, the source of its authority, and whether the one before is kept.
fn rewrites(route: &Route) -> (Option<&Substitution>, Option<&HostSource>, bool) {
    match &route.action {
        RouteAction::Forward(forward) => {
            let more = forward.rewrite.more.as_deref();
            let source = more.and_then(|more| more.source.as_ref());
            (substitution(&forward.rewrite.path), source, more.is_some_and(|more| more.forwarded))
        }
        RouteAction::Redirect(redirect) => (substitution(&redirect.path), None, false),
        RouteAction::Direct(_) => (None, None, false),
    }
}

fn substitution(path: &Option<PathRewrite>) -> Option<&Substitution> {
    match path {
        Some(PathRewrite::Substitute(change)) => Some(change),
        _ => None,
    }
}

/// Adds what of requests the values of a response's fields are made of.
fn want(mutation: &HeaderMutation, wanted: &mut Vec<LogField>) {
    for edit in mutation.edits.iter().flat_map(|edits| &edits.write) {
        let EditValue::Template { template, .. } = &edit.value else { continue };
        for value in template.values() {
            let LogValue::Request(first, other) = value else { continue };
            for field in std::iter::once(first).chain(other) {
                if !wanted.contains(field) {
                    wanted.push(field.clone());
                }
            }
        }
    }
}

/// Checks the expressions of a route; the field of an error is that in the route.
pub(super) fn check(route: &Route) -> Result<(), LinkError> {
    let (path, source, _) = rewrites(route);
    let action = match &route.action {
        RouteAction::Redirect(_) => "redirect",
        RouteAction::Forward(_) | RouteAction::Direct(_) => "route",
    };
    let one = |change: &Substitution, field: &str| {
        let named =
            |error: RouteError| LinkError::new(format!("{action}.{field}.{}", error.field), error.message);
        Substitute::compile(change).map(drop).map_err(named)
    };
    path.map_or(Ok(()), |change| one(change, "regex_rewrite"))?;
    match source {
        Some(HostSource::Path(change)) => one(change, "host_rewrite_path_regex"),
        Some(HostSource::Header(_) | HostSource::Endpoint) | None => Ok(()),
    }
}
