//! What a target can express. The weir sidecar does all that policy says; for the others, what they cannot do is replaced by what is safe, and
//! told with the field that asked for it.
//!
//! | | stock Envoy | proxyless gRPC |
//! |---|---|---|
//! | peak EWMA | least request | least request |
//! | random | yes | round robin |
//! | Maglev | yes | ring hash |
//! | header changes, rewrites, mirrors | yes | no |
//! | redirects | yes | the call fails |
//! | query matches, methods but POST | yes | never match |
//! | request timeout | yes | yes |
//! | backend request and idle timeouts | yes | no |
//! | retries | yes | on gRPC statuses, and where nothing was sent |
//! | hedging | no: Envoy's does not look at the method | no |
//! | connection limits, connect timeout | yes | no |
//!
//! Where gRPC has no least request either (its C core), it falls back to round robin by itself.

use crate::index::Policy;
use http::{Method, StatusCode};
use weir_model::mesh::{HttpRule, Name, RouteName};
use weir_model::node::Target;
use weir_model::{
    CircuitBreakers, Diagnostic, DirectResponse, Forward, HeaderMutation, LoadBalancing, RetryOn, Rewrite,
    RingSize, Route, RouteAction, Severity,
};

/// The match of a rule that a route was made from.
pub(crate) struct Origin<'m> {
    pub(crate) route: &'m RouteName,
    pub(crate) rule: usize,
    pub(crate) position: usize,
    pub(crate) spec: &'m HttpRule,
}

impl Origin<'_> {
    pub(crate) fn say(&self, field: &str, message: &str, mend: &str) -> Diagnostic {
        let (resource, rule) = (self.route.to_string(), self.rule);
        warning(resource, format!("spec.rules[{rule}].{field}"), message, mend)
    }
}

pub(crate) fn warning(resource: String, field: String, message: &str, mend: &str) -> Diagnostic {
    Diagnostic {
        severity: Severity::Warning,
        resource,
        field,
        message: message.to_owned(),
        mend: mend.to_owned(),
    }
}

pub(crate) fn of_policy(name: &Name, field: &str, message: &str) -> Diagnostic {
    let mend = "leave it out, or run a sidecar beside the client";
    warning(format!("TrafficPolicy {name}"), field.to_owned(), message, mend)
}

/// How endpoints are chosen.
pub(crate) fn load_balancing(
    policy: &Policy<'_>,
    target: Target,
    diagnostics: &mut Vec<Diagnostic>,
) -> LoadBalancing {
    let Some((name, wanted)) = policy.load_balancing() else { return LoadBalancing::default() };
    let mut instead = |with: LoadBalancing, message: &str| {
        diagnostics.push(of_policy(name, "spec.loadBalancing.policy", message));
        with
    };
    match (target, wanted) {
        (Target::Envoy, LoadBalancing::PeakEwma { .. }) => {
            instead(LoadBalancing::default(), "Envoy has no peak EWMA: it balances by least request")
        }
        (Target::Grpc, LoadBalancing::PeakEwma { .. }) => {
            instead(LoadBalancing::default(), "gRPC clients have no peak EWMA: they balance by least request")
        }
        (Target::Grpc, LoadBalancing::Random) => {
            instead(LoadBalancing::RoundRobin, "gRPC clients have no random balancing: they go round robin")
        }
        (Target::Grpc, LoadBalancing::Maglev { .. }) => instead(
            LoadBalancing::RingHash(RingSize::default()),
            "gRPC clients have no Maglev table: they use a ring hash",
        ),
        _ => wanted.clone(),
    }
}

/// How connections are made and limited.
pub(crate) fn connection(policy: &Policy<'_>, target: Target, diagnostics: &mut Vec<Diagnostic>) {
    if target != Target::Grpc {
        return;
    }
    if let Some((name, _)) = policy.connect_timeout() {
        diagnostics.push(of_policy(
            name,
            "spec.connectTimeout",
            "gRPC clients connect with a timeout of their own",
        ));
    }
    if let Some((name, breakers)) = policy.circuit_breakers() {
        let default = CircuitBreakers::default();
        let connections = |breakers: &CircuitBreakers| {
            let CircuitBreakers {
                max_connections,
                max_pending,
                max_endpoint_connections,
                connection,
                high,
                ..
            } = breakers;
            (*max_connections, *max_pending, *max_endpoint_connections, connection.clone(), high.max_requests)
        };
        if connections(breakers) != connections(&default) {
            let message = "gRPC clients limit requests, not connections or what waits for one";
            diagnostics.push(of_policy(name, "spec.circuitBreakers", message));
        }
        if breakers.retry_budget != default.retry_budget {
            diagnostics.push(of_policy(name, "spec.retries.budget", "gRPC clients have no retry budget"));
        }
    }
}

/// A route as the target can express it; nothing if no request of the target's ever matches.
pub(crate) fn route(
    target: Target,
    origin: Option<&Origin<'_>>,
    policy: &Policy<'_>,
    mut route: Route,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Route> {
    let mut found = Found { origin, diagnostics };
    if target == Target::Envoy {
        keep_from_hedging(&mut route, policy, &mut found);
    }
    if target != Target::Grpc {
        return Some(route);
    }
    // Every call is a POST.
    match route.matches.method.take() {
        None => {}
        Some(method) if method == Method::POST => {}
        Some(_) => {
            found.at_match("method", "gRPC calls are always POST, so this never matches them", "");
            return None;
        }
    }
    if !route.matches.query.is_empty() {
        found.at_match("queryParams", "gRPC calls have no query, so this never matches them", "");
        return None;
    }
    for mutation in [&mut route.request_headers, &mut route.response_headers] {
        if *mutation != HeaderMutation::default() {
            *mutation = HeaderMutation::default();
            found.at_rule("filters", "gRPC clients do not change headers as routes say");
        }
    }
    match &mut route.action {
        RouteAction::Direct(_) => {}
        RouteAction::Redirect(_) => {
            found.at_rule("filters", "gRPC clients follow no redirects: calls that match fail");
            let body = "a redirect, which gRPC does not follow".to_owned();
            route.action =
                RouteAction::Direct(DirectResponse { status: StatusCode::INTERNAL_SERVER_ERROR, body });
        }
        RouteAction::Forward(forward) => restrict_forward(forward, policy, &mut found),
    }
    Some(route)
}

/// Where findings about a route go.
struct Found<'a, 'm> {
    origin: Option<&'a Origin<'m>>,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Found<'_, '_> {
    fn at_rule(&mut self, field: &str, message: &str) {
        let mend = "run a sidecar beside the client, or attach the route to other services";
        self.diagnostics.extend(self.origin.map(|origin| origin.say(field, message, mend)));
    }

    fn at_match(&mut self, field: &str, message: &str, mend: &str) {
        let origin = self
            .origin
            .map(|origin| origin.say(&format!("matches[{}].{field}", origin.position), message, mend));
        self.diagnostics.extend(origin);
    }

    /// At the rule's field if the rule says so itself, else at the policy's.
    fn at_either(
        &mut self,
        own: bool,
        rule_field: &str,
        policy: Option<&Name>,
        policy_field: &str,
        message: &str,
    ) {
        match policy {
            _ if own => self.at_rule(rule_field, message),
            Some(name) => self.diagnostics.push(of_policy(name, policy_field, message)),
            None => {}
        }
    }
}

/// Envoy hedges whatever the method, which could do twice what is to be done once.
fn keep_from_hedging(route: &mut Route, policy: &Policy<'_>, found: &mut Found<'_, '_>) {
    let RouteAction::Forward(Forward { retry: Some(retry), .. }) = &mut route.action else { return };
    if std::mem::take(&mut retry.hedge) {
        let said = policy.retry().map(|(name, _)| name);
        let message = "Envoy would hedge requests that must not be repeated as well: it does not hedge";
        found.at_either(false, "retry", said, "spec.retries.hedge", message);
    }
}

fn restrict_forward(forward: &mut Forward, policy: &Policy<'_>, found: &mut Found<'_, '_>) {
    if forward.rewrite != Rewrite::default() {
        forward.rewrite = Rewrite::default();
        found.at_rule("filters", "gRPC clients do not rewrite the host or the path");
    }
    for cluster in &mut forward.clusters {
        for mutation in [&mut cluster.request_headers, &mut cluster.response_headers] {
            if *mutation != HeaderMutation::default() {
                *mutation = HeaderMutation::default();
                found.at_rule("backendRefs", "gRPC clients do not change headers as backendRefs say");
            }
        }
    }
    let own = found.origin.map(|origin| &origin.spec.timeouts);
    let (own_attempt, own_idle) =
        own.map_or((false, false), |own| (own.backend_request.is_some(), own.idle.is_some()));
    if forward.timeouts.backend_request.take().is_some() {
        let said = policy.backend_request_timeout().map(|(name, _)| name);
        let message = "gRPC clients do not limit one attempt, only the whole call";
        found.at_either(
            own_attempt,
            "timeouts.backendRequest",
            said,
            "spec.timeouts.backendRequest",
            message,
        );
    }
    if forward.timeouts.idle.take().is_some() {
        let said = policy.idle_timeout().map(|(name, _)| name);
        found.at_either(
            own_idle,
            "timeouts",
            said,
            "spec.timeouts.idle",
            "gRPC clients have no idle timeout",
        );
    }
    if let Some(retry) = &mut forward.retry {
        let own = found.origin.is_some_and(|origin| origin.spec.retry.is_some());
        if !retry.on.statuses.is_empty() {
            let said = policy.retry().map(|(name, _)| name);
            let message = "gRPC clients retry on gRPC statuses, not on HTTP statuses";
            found.at_either(own, "retry", said, "spec.retries.on", message);
        }
        if retry.hedge {
            let said = policy.retry().map(|(name, _)| name);
            found.at_either(own, "retry", said, "spec.retries.hedge", "gRPC clients do not hedge by xDS");
        }
        (retry.hedge, retry.avoid_tried, retry.asked) = (false, false, None);
        retry.requests.clear();
        // What was never sent, gRPC tries again by itself.
        retry.on = RetryOn { grpc: std::mem::take(&mut retry.on.grpc), ..RetryOn::default() };
        if retry.on.grpc.is_empty() {
            forward.retry = None;
        }
    }
}
