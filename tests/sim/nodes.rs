//! The cast: which nodes a mesh has.

use crate::policy::{SERVICES, one_in, pick};
use std::collections::{BTreeMap, BTreeSet};
use weir_model::node::{Inbound, Node, Target};
use weir_model::{Fraction, Locality, Random};

/// What a node is played by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Style {
    /// weir's own sidecar.
    Weir,
    /// A stock Envoy over state-of-the-world ADS.
    EnvoySotw,
    /// A stock Envoy over incremental ADS.
    EnvoyDelta,
    /// A gRPC library.
    Grpc,
}

/// A node, and how it behaves.
#[derive(Clone, Debug)]
pub(crate) struct Role {
    /// Who it says it is.
    pub(crate) node: Node,
    /// What it is.
    pub(crate) style: Style,
    /// Whether it refuses what is poisoned.
    pub(crate) picky: bool,
    /// Whether one bad resource makes it refuse its whole message, without a word about which.
    pub(crate) strict: bool,
}

/// The nodes of one mesh.
pub(crate) fn cast(random: &mut Random) -> Vec<Role> {
    let mut styles = vec![Style::Weir; 2 + random.below(3) as usize];
    styles.extend([Style::EnvoySotw, Style::EnvoyDelta, Style::Grpc].iter().filter(|_| random.below(4) > 0));
    if one_in(random, 3) {
        styles.push(Style::EnvoySotw);
    }
    styles.into_iter().enumerate().map(|(index, style)| role(random, index, style)).collect()
}

fn role(random: &mut Random, index: usize, style: Style) -> Role {
    let (namespace, service, app, version) = *pick(random, &SERVICES);
    let version = if version.is_empty() { *pick(random, &["v1", "v2"]) } else { version };
    let (target, prefix) = match style {
        Style::Weir => (Target::Weir, "weir"),
        Style::EnvoySotw | Style::EnvoyDelta => (Target::Envoy, "envoy"),
        Style::Grpc => (Target::Grpc, "grpc"),
    };
    let joins = style != Style::Grpc && !one_in(random, 4);
    let inbound = Inbound {
        name: "http".to_owned(),
        listen: ([10, 0, 0, index as u8 + 1], 15006).into(),
        app: ([127, 0, 0, 1], 9080).into(),
    };
    let tcp = BTreeMap::from([(([127, 0, 0, 1], 15432).into(), "db.default:5432".to_owned())]);
    let declares = style != Style::Grpc && one_in(random, 2);
    let upstreams =
        (0..2).map(|_| pick(random, &SERVICES)).map(|(namespace, name, ..)| format!("{namespace}/{name}"));
    let upstreams: BTreeSet<String> = upstreams.collect();
    let node = Node {
        id: format!("{prefix}-{index}"),
        target,
        namespace: namespace.to_owned(),
        service: service.to_owned(),
        service_account: weir_model::mesh::SERVICE_ACCOUNT.to_owned(),
        labels: [("app", app), ("version", version)]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        locality: pick(random, &["eu/eu-1/a", "eu/eu-2/b", "us/us-1"]).parse().unwrap_or(Locality::default()),
        outbound: (style != Style::Grpc).then(|| ([127, 0, 0, 1], 15001).into()),
        outbound_tcp: if style != Style::Grpc && one_in(random, 3) { tcp } else { BTreeMap::new() },
        inbound: if joins { vec![inbound] } else { vec![] },
        upstreams: if declares { upstreams } else { BTreeSet::new() },
        uses: BTreeSet::new(),
        sampling: one_in(random, 2).then_some(Fraction(10_000)),
        access_log: one_in(random, 3),
    };
    Role { node, style, picky: random.below(3) > 0, strict: one_in(random, 3) }
}

/// A name that a request uses: of a service, in one of its forms, or of nothing.
pub(crate) fn authority(random: &mut Random) -> String {
    let (namespace, name, ..) = *pick(random, &SERVICES);
    match random.below(8) {
        0 => name.to_owned(),
        1 => format!("{name}.{namespace}"),
        2 => format!("{name}.{namespace}:9080"),
        3 => format!("{name}.{namespace}.svc:9080"),
        4 => format!("{name}.{namespace}.svc.cluster.local"),
        5 => format!("{name}:9090"),
        6 => format!("{name}.{namespace}:{}", pick(random, &[9080, 9090, 5432])),
        _ => pick(random, &["nowhere", "nowhere.shop:80", "reviews.elsewhere"]).to_string(),
    }
}
