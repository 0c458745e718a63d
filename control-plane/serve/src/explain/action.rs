//! What becomes of a request on the route that takes it: everything that changes where it goes, or whether.

use super::{Scene, Told};
use std::collections::BTreeMap;
use weir_decide::affinity::{self, Caller, Hashed, Pin};
use weir_decide::split::Split;
use weir_model::mesh::Name;
use weir_model::{
    Affinity, Cluster, ClusterKind, Discovery, Endpoints, Fallback, Fault, Filters, Forward, Fraction,
    HashSource, LimitKey, LoadBalancing, PathRewrite, Priority, Random, RateLimits, Resource, ResourceType,
    Route, RouteAction, VirtualHost,
};

/// Endpoints told per cluster.
const ENDPOINTS: usize = 50;

/// Where of a split a request goes.
enum Side {
    /// To each by its weight.
    Drawn,
    /// There only: which cluster, by its position, and which endpoint of it, if that is certain too.
    Kept(usize, Option<String>),
}

impl Told {
    pub(super) fn taken(&mut self, scene: &Scene<'_>, host: &VirtualHost, route: &Route, share: f64) {
        self.filters(route.filters.as_deref(), host.filters.as_deref());
        match &route.action {
            RouteAction::Forward(forward) => self.forward(scene, route, forward, share),
            RouteAction::Redirect(redirect) => {
                self.outcome(format!("redirect {}", redirect.status.as_u16()), share, Vec::new())
            }
            RouteAction::Direct(direct) => {
                let target = format!("answer {}: {}", direct.status.as_u16(), direct.body);
                self.outcome(target, share, Vec::new());
            }
        }
    }

    /// What is done with the request before it goes anywhere: the route's own word counts, part by part.
    fn filters(&mut self, own: Option<&Filters>, wide: Option<&Filters>) {
        fn said<'a, T>(
            own: Option<&'a Filters>,
            wide: Option<&'a Filters>,
            of: fn(&Filters) -> &Option<T>,
        ) -> Option<&'a T> {
            let own = own.and_then(|filters| of(filters).as_ref());
            own.or_else(|| wide.and_then(|filters| of(filters).as_ref()))
        }
        if let Some(limits) = said(own, wide, |filters| &filters.limits).filter(|limits| !limits.is_empty()) {
            self.limits("the caller's sidecar sends", limits);
        }
        if let Some(fault) = said(own, wide, |filters| &filters.fault) {
            self.fault(fault);
        }
        if said(own, wide, |filters| &filters.cors).is_some_and(|cors| !cors.origins.is_empty()) {
            let decision = "preflights are answered by the caller's sidecar".to_owned();
            self.step("cors", decision, Vec::new());
        }
    }

    fn limits(&mut self, who: &str, limits: &RateLimits) {
        let answer = limits.status.as_u16();
        let rate = |bucket: &weir_model::TokenBucket| {
            format!("{} requests in {:?}, {} at once", bucket.requests, bucket.interval, bucket.burst)
        };
        let mut parts: Vec<String> = limits.all.iter().map(rate).collect();
        parts.extend(limits.keyed.iter().map(|limit| {
            let by = match &limit.key {
                LimitKey::Header(name) => format!("value of {name}"),
                LimitKey::SourceAddress => "source address".to_owned(),
            };
            format!("{} for each {by}", rate(&limit.bucket))
        }));
        let decision = format!("{who} at most {}; more is answered {answer}", parts.join("; "));
        self.step("limit", decision, vec![format!("limits of {}", limits.name)]);
    }

    fn fault(&mut self, fault: &Fault) {
        let mut parts = Vec::new();
        if let Some(delay) = &fault.delay {
            parts.push(format!("{} of requests wait {:?}", percent(delay.fraction), delay.duration));
        }
        if let Some(abort) = &fault.abort {
            parts.push(format!("{} are aborted with {:?}", percent(abort.fraction), abort.answer));
        }
        if parts.is_empty() {
            return;
        }
        let names: Vec<&str> = fault.headers.iter().map(|header| header.name.as_str()).collect();
        let only = match names.is_empty() {
            true => Vec::new(),
            false => vec![format!("only requests whose {} are as the policy says", names.join(", "))],
        };
        self.step("fault", format!("on purpose, {}", parts.join("; ")), only);
    }

    fn forward(&mut self, scene: &Scene<'_>, route: &Route, forward: &Forward, share: f64) {
        self.rewrite(forward);
        let side = self.side(scene, forward);
        let weights: Vec<u32> = forward.clusters.iter().map(|cluster| cluster.weight).collect();
        let sum: f64 = weights.iter().copied().map(f64::from).sum();
        let mut told = Vec::new();
        let mut going = Vec::new();
        for (index, weighted) in forward.clusters.iter().enumerate() {
            told.push(format!("{} {}", weighted.cluster, weighted.weight));
            let share = match &side {
                Side::Drawn => share * f64::from(weighted.weight) / sum.max(1.0),
                Side::Kept(kept, _) if *kept == index => share,
                Side::Kept(..) => 0.0,
            };
            if share > 0.0 {
                going.push((weighted.cluster.as_str(), share));
            }
        }
        self.step("split", format!("by weight: {}", told.join(", ")), Vec::new());
        if forward.priority == Priority::High {
            let decision = "of high priority: breakers of its own count it".to_owned();
            self.step("priority", decision, Vec::new());
        }
        for (name, share) in going {
            let cluster = scene.resources.get(ResourceType::Cluster, name).map(|(_, resource)| &**resource);
            let Some(Resource::Cluster(cluster)) = cluster else {
                self.outcome(name.to_owned(), share, Vec::new());
                continue;
            };
            self.cluster(scene, route, forward, cluster);
            let only = match &side {
                Side::Kept(_, endpoint) => endpoint.as_deref(),
                Side::Drawn => None,
            };
            self.outcome(name.to_owned(), share, endpoints(scene, cluster, only));
        }
        if let Some(retry) = &forward.retry {
            let decision = format!("up to {} more attempts within the budget", retry.attempts);
            let elsewhere =
                retry.avoid_tried.then(|| "at endpoints that were not tried, while there are".to_owned());
            let hedged = retry.hedge.then(|| "a slow attempt goes on beside the next one".to_owned());
            self.step("retry", decision, elsewhere.into_iter().chain(hedged).collect());
        }
        for mirror in &forward.mirrors {
            let share = percent(mirror.fraction);
            let decision = format!("{share} are copied to {}, whose answer nobody waits for", mirror.cluster);
            self.step("mirror", decision, Vec::new());
        }
        match forward.fallback.as_deref() {
            Some(Fallback::Cluster(cluster)) => {
                let decision = format!("where no upstream can answer, it goes to {cluster}, once");
                self.step("fallback", decision, vec![DEGRADED.to_owned()]);
            }
            Some(Fallback::Direct(answer)) => {
                let status = answer.response.status.as_u16();
                let decision = format!("where no upstream can answer, the caller's sidecar answers {status}");
                self.step("fallback", decision, vec![DEGRADED.to_owned()]);
            }
            None => {}
        }
    }

    fn rewrite(&mut self, forward: &Forward) {
        let host = forward.rewrite.host.as_ref().map(|host| format!("host {host:?}"));
        let path = forward.rewrite.path.as_ref().map(|path| match path {
            PathRewrite::Full(path) => format!("path {path:?}"),
            PathRewrite::Prefix(prefix) => format!("the prefix that matched by {prefix:?}"),
            other => format!("{other:?}"),
        });
        let parts: Vec<String> = host.into_iter().chain(path).collect();
        if !parts.is_empty() {
            self.step("rewrite", format!("before it is sent on: {}", parts.join(", ")), Vec::new());
        }
    }

    /// What brings the caller back, and where to.
    fn side(&mut self, scene: &Scene<'_>, forward: &Forward) -> Side {
        let Some(tied) = forward.affinity.as_deref() else { return Side::Drawn };
        if let Some(kept) = self.session(scene, forward, tied) {
            return kept;
        }
        let hash = self.hash(scene, tied);
        if tied.split.is_none() {
            return Side::Drawn;
        }
        let weights: Vec<u32> = forward.clusters.iter().map(|cluster| cluster.weight).collect();
        let (Some(hash), Some(split)) = (hash, Split::new(&weights)) else {
            let decision = "its side is drawn by the weights: there is nothing to keep it by yet".to_owned();
            self.step("sticky", decision, Vec::new());
            return Side::Drawn;
        };
        let side = split.at(hash % split.total());
        let cluster = forward.clusters.get(side).map_or("", |side| side.cluster.as_str());
        self.step(
            "sticky",
            format!("its caller's side is {cluster}, also while the weights change"),
            Vec::new(),
        );
        Side::Kept(side, None)
    }

    fn session(&mut self, scene: &Scene<'_>, forward: &Forward, tied: &Affinity) -> Option<Side> {
        let session = tied.session.as_ref()?;
        let cookie = &session.cookie.name;
        if !affinity::covers(session, &scene.asked.path) {
            let decision = format!("sessions are for paths under {:?} only", session.cookie.path);
            self.step("session", decision, Vec::new());
            return None;
        }
        let Some(pin) = affinity::pin(session, &scene.asked.headers) else {
            let decision =
                format!("it has no session cookie {cookie:?}: it gets one for the endpoint that answers");
            self.step("session", decision, Vec::new());
            return None;
        };
        let found = forward.clusters.iter().enumerate().find_map(|(index, weighted)| {
            let endpoint = pinned(scene, &weighted.cluster, pin)?;
            Some((index, endpoint))
        });
        match &found {
            Some((_, endpoint)) => {
                let decision = format!("its cookie {cookie:?} names {endpoint}, while that takes traffic");
                self.step("session", decision, Vec::new());
            }
            None if session.strict => {
                let decision = format!("the endpoint that its cookie {cookie:?} names is gone: 503");
                self.step("session", decision, Vec::new());
            }
            None => {
                let decision =
                    format!("the endpoint that its cookie {cookie:?} names is gone: it gets another one");
                self.step("session", decision, Vec::new());
            }
        }
        found.map(|(index, endpoint)| Side::Kept(index, Some(endpoint)))
    }

    /// The hash of the request, as far as it can be known here.
    fn hash(&mut self, scene: &Scene<'_>, tied: &Affinity) -> Option<u64> {
        let sources = tied.hash.iter().map(|policy| match &policy.source {
            HashSource::Header(name) => format!("header {name}"),
            HashSource::Cookie(cookie) => format!("cookie {}", cookie.name),
            HashSource::SourceAddress => "source address".to_owned(),
            HashSource::Query(name) => format!("query parameter {name}"),
        });
        let sources: Vec<String> = sources.collect();
        if sources.is_empty() {
            return None;
        }
        let by_address = tied.hash.iter().any(|policy| policy.source == HashSource::SourceAddress);
        let caller = Caller {
            headers: &scene.asked.headers,
            source: std::net::Ipv4Addr::UNSPECIFIED.into(),
            query: scene.asked.query.as_deref(),
        };
        // What is drawn for a cookie that would be issued is not what the caller gets.
        let Hashed { hash, issued } = affinity::hash(&tied.hash, &caller, &mut Random::new(1));
        let (decision, hash) = match hash {
            _ if by_address => ("decided by the address it comes from, which is not known here", None),
            _ if !issued.is_empty() => ("the request has no such cookie: it is issued one", None),
            Some(hash) => ("the request has it, so its caller comes back to the same place", Some(hash)),
            None => ("the request has nothing of it: it is placed at random", None),
        };
        self.step("hash", format!("of {}: {decision}", sources.join(", ")), Vec::new());
        hash
    }

    /// How an endpoint is chosen, and what the service's own sidecars let in.
    fn cluster(&mut self, scene: &Scene<'_>, route: &Route, forward: &Forward, cluster: &Cluster) {
        let hashes =
            matches!(cluster.load_balancing, LoadBalancing::RingHash(_) | LoadBalancing::Maglev { .. });
        let hashed = forward.affinity.as_ref().is_some_and(|tied| !tied.hash.is_empty());
        let rendered = weir_compile::render(&Resource::Cluster(cluster.clone()));
        let mut lines = rendered.lines().skip(1).map(str::trim);
        let balance = lines.clone().find(|line| line.starts_with("balance ")).unwrap_or_default();
        let reasons = lines.by_ref().filter(|line| {
            ["at most", "of high", "check", "eject", "panic", "slow", "outlier"]
                .iter()
                .any(|word| line.starts_with(word))
        });
        let random = if hashes && !hashed { ", of nothing: at random" } else { "" };
        let reasons: Vec<String> = reasons.map(str::to_owned).collect();
        self.step("balance", format!("{}: {balance}{random}", cluster.name), reasons);
        let ClusterKind::Service { namespace, name, port } = &cluster.kind else { return };
        let service = Name::new(namespace, name);
        if let Some(limits) = weir_compile::service_limits(scene.mesh, &service, *port, &route.name) {
            self.limits(&format!("each sidecar of service {service} lets in"), &limits);
        }
    }
}

/// What callers are told of a fallback.
const DEGRADED: &str = "the reason is in x-weir-degraded, in the flags (FB), metrics, logs and spans";

fn percent(fraction: Fraction) -> String {
    format!("{} %", f64::from(fraction.0) / 10_000.0)
}

fn list<'a>(scene: &Scene<'a>, cluster: &'a Cluster) -> Option<&'a Endpoints> {
    match &cluster.discovery {
        Discovery::Static(list) => Some(list),
        Discovery::Eds(name) => {
            match scene.resources.get(ResourceType::Endpoints, name).map(|(_, resource)| &**resource) {
                Some(Resource::Endpoints(list)) => Some(list),
                _ => None,
            }
        }
        // Only who looks them up knows.
        Discovery::Dns(_) => None,
    }
}

/// The endpoint that a session names, if it is of this cluster.
fn pinned(scene: &Scene<'_>, name: &str, pin: Pin) -> Option<String> {
    let cluster = scene.resources.get(ResourceType::Cluster, name).map(|(_, resource)| &**resource);
    let Some(Resource::Cluster(cluster)) = cluster else { return None };
    if affinity::cluster_key(name) != pin.cluster {
        return None;
    }
    let mut all = list(scene, cluster)?.iter();
    let found = all.find(|(_, endpoint)| affinity::endpoint_key(endpoint.address) == pin.endpoint);
    found.map(|(_, endpoint)| endpoint.address.to_string())
}

/// The endpoints of a cluster, or the only one that counts, with what the control plane knows of each. Ejections are each sidecar's own.
pub(super) fn endpoints(scene: &Scene<'_>, cluster: &Cluster, only: Option<&str>) -> Vec<String> {
    let loads: BTreeMap<String, weir_proto::policy::v1::ServiceLoad> = scene.loads.of(&cluster.name);
    let all = list(scene, cluster).into_iter().flat_map(|list| list.iter());
    let all = all.filter(|(_, endpoint)| only.is_none_or(|only| endpoint.address.to_string() == only));
    let line = |(place, endpoint): (&weir_model::LocalityEndpoints, &weir_model::Endpoint)| {
        let health = format!("{:?}", endpoint.health).to_lowercase();
        let priority = match place.priority {
            0 => String::new(),
            later => format!(", priority {later}"),
        };
        let load = loads.get(&endpoint.address.to_string()).map_or_else(String::new, |load| {
            format!(
                "; {} requests so far, {} failed, {} under way",
                load.requests, load.errors, load.in_progress
            )
        });
        format!("{} ({}, {}) {health}{priority}{load}", endpoint.address, endpoint.workload, place.locality)
    };
    all.take(ENDPOINTS).map(line).collect()
}
