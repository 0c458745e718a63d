//! What ties the callers of a route to where they were; which localities come first for a node is in [`crate::near`].
//!
//! | | weir | stock Envoy | proxyless gRPC |
//! |---|---|---|---|
//! | consistent hash | yes | yes | of headers only |
//! | sticky split | yes | yes; a caller's first request may go to another side, before it has the cookie | no |
//! | sessions | yes, across a split as well | yes, while the split chooses its side | no |
//! | near localities first | yes | yes | when nothing near can be reached |
//!
//! What is hashed is the concern of the service whose endpoints are chosen; sticky splits and sessions are, like timeouts, of the service
//! that the route is attached to. **A route hashes one thing** on every data plane: that of its sticky split before that of its clusters.

use crate::express::{Origin, of_policy, warning};
use crate::index::{Index, Policy};
use crate::memo::ServicePort;
use crate::outbound_name;
use crate::service::port_of;
use crate::share::is_apart;
use std::collections::BTreeSet;
use weir_model::mesh::{Mesh, Name};
use weir_model::node::Target;
use weir_model::{
    Affinity, Diagnostic, Forward, HashPolicy, HashSource, Route, RouteAction, Session, StickySplit,
    WeightedCluster,
};

/// What the weights of a sticky split sum to. Constant, so that only the boundaries move when weights change.
const SUM: u32 = 1_000_000_000;

/// Whose routes.
pub(crate) struct Attached<'a> {
    pub(crate) mesh: &'a Mesh,
    pub(crate) index: &'a Index,
    pub(crate) service: &'a Name,
    pub(crate) port: u16,
    pub(crate) target: Target,
}

/// Ties the callers of a route that forwards. `clusters` are those that routes refer to.
pub(crate) fn tie(
    attached: &Attached<'_>,
    policy: &Policy<'_>,
    origin: Option<&Origin<'_>>,
    route: &mut Route,
    (clusters, diagnostics): (&mut BTreeSet<ServicePort>, &mut Vec<Diagnostic>),
) {
    let together = route.matches.fraction.is_none();
    let RouteAction::Forward(forward) = &mut route.action else { return };
    let mut affinity = Affinity::default();
    let sticky = sticky(attached.target, policy, forward, diagnostics);
    let hashed = hashed(attached, origin, forward);
    if let Some((name, source)) = sticky.or(hashed.first().copied()) {
        for (name, _) in hashed.iter().filter(|(_, other)| *other != source) {
            let message = "a route hashes one thing, and hashes something else: this is not hashed there";
            let mend = "hash the same for all services of a route, and for its sticky split";
            let field = "spec.loadBalancing.consistentHash".to_owned();
            diagnostics.push(warning(format!("TrafficPolicy {name}"), field, message, mend));
        }
        if attached.target == Target::Grpc && !matches!(source, HashSource::Header(_)) {
            let message = "gRPC clients hash headers only: they choose at random";
            diagnostics.push(of_policy(name, "spec.loadBalancing.consistentHash", message));
        } else {
            affinity.hash = vec![HashPolicy { source: source.clone(), terminal: false }];
        }
    }
    if sticky.is_some() {
        affinity.split = Some(StickySplit::Hash);
        level(&mut forward.clusters);
    }
    affinity.session = session(attached.target, policy, origin, forward, diagnostics);
    if let (Some(_), Some(origin), Target::Weir, true) =
        (&affinity.session, origin, attached.target, together)
    {
        retire(attached.mesh, origin, forward, clusters);
    }
    forward.affinity = (!affinity.is_empty()).then(|| Box::new(affinity));
}

/// By what callers keep their side, if there are sides and the target can.
fn sticky<'m>(
    target: Target,
    policy: &Policy<'m>,
    forward: &Forward,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<(&'m Name, &'m HashSource)> {
    let (name, source) = policy.sticky().filter(|_| forward.clusters.len() > 1)?;
    match (target, source) {
        (Target::Grpc, _) => {
            diagnostics.push(of_policy(name, "spec.splitting", "gRPC clients split each call for itself"));
            return None;
        }
        (Target::Envoy, HashSource::Cookie(_)) => {
            let message = "Envoy issues the cookie after it has chosen a side, so that a caller's first request may go to another";
            diagnostics.push(of_policy(name, "spec.splitting.stickyBy.cookie", message));
        }
        (Target::Weir | Target::Envoy, _) => {}
    }
    Some((name, source))
}

/// Backends that get nothing new stay for the sessions that are there.
fn retire(mesh: &Mesh, origin: &Origin<'_>, forward: &mut Forward, clusters: &mut BTreeSet<ServicePort>) {
    for backend in origin.spec.backends.iter().filter(|backend| backend.weight == 0) {
        let (service, port) = (&backend.target.service, backend.target.port);
        let exists = mesh.services.get(service).is_some_and(|it| port_of(it, port).is_some());
        let cluster = outbound_name(service, port);
        if exists && !is_apart(backend) && forward.clusters.iter().all(|known| known.cluster != cluster) {
            clusters.insert((service.clone(), port));
            forward.clusters.push(WeightedCluster {
                subset: None,
                cluster,
                weight: 0,
                request_headers: backend.filters.request_headers.clone(),
                response_headers: backend.filters.response_headers.clone(),
            });
        }
    }
}

/// What the clusters of a route want hashed, each thing once.
fn hashed<'m>(
    attached: &Attached<'m>,
    origin: Option<&Origin<'m>>,
    forward: &Forward,
) -> Vec<(&'m Name, &'m HashSource)> {
    let clusters: BTreeSet<&str> = forward.clusters.iter().map(|cluster| cluster.cluster.as_str()).collect();
    let own = [(attached.service, attached.port)];
    let backends = origin.into_iter().flat_map(|origin| &origin.spec.backends);
    let backends = backends.map(|backend| (&backend.target.service, backend.target.port));
    let mut hashed: Vec<(&Name, &HashSource)> = Vec::new();
    for (service, port) in backends.chain(own) {
        if !clusters.contains(outbound_name(service, port).as_str()) {
            continue;
        }
        let policy = attached.index.policy(attached.mesh, service, port);
        if let Some(said) = policy.consistent_hash()
            && hashed.iter().all(|(_, known)| *known != said.1)
        {
            hashed.push(said);
        }
    }
    hashed
}

fn session(
    target: Target,
    policy: &Policy<'_>,
    origin: Option<&Origin<'_>>,
    forward: &Forward,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Session> {
    let own = origin.and_then(|origin| Some((origin, origin.spec.session.as_ref()?)));
    let said = policy.session();
    let session = own.map(|(_, session)| session).or(said.map(|(_, session)| session))?;
    let message = match target {
        Target::Weir => None,
        Target::Envoy if forward.clusters.len() < 2 => None,
        Target::Envoy => Some("Envoy keeps a session only while the split chooses its side"),
        Target::Grpc => Some("gRPC clients have no sessions"),
    };
    if let Some(message) = message {
        diagnostics.push(match (own, said) {
            (None, Some((name, _))) => of_policy(name, "spec.sessionPersistence", message),
            (Some((origin, _)), _) => {
                let (resource, rule) = (origin.route.to_string(), origin.rule);
                let mend = "run a sidecar beside the client, or leave it out";
                warning(resource, format!("spec.rules[{rule}].sessionPersistence"), message, mend)
            }
            (None, None) => return None,
        });
    }
    (target != Target::Grpc).then(|| session.clone())
}

/// The same shares in weights of a constant sum. A boundary between two sides depends on the shares before it only, so the last side's
/// grows with its share.
fn level(clusters: &mut [WeightedCluster]) {
    let sum: u64 = clusters.iter().map(|cluster| u64::from(cluster.weight)).sum();
    let (mut before, mut begin) = (0, 0);
    for cluster in clusters {
        before += u64::from(cluster.weight);
        let end = (u128::from(before) * u128::from(SUM) / u128::from(sum.max(1))) as u32;
        cluster.weight = end - begin;
        begin = end;
    }
}

#[cfg(test)]
mod tests;
