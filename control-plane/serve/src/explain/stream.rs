//! Why a connection that nobody reads would go where it goes: `tcp://NAME:PORT` through an outbound TCP listener, `tls://NAME:PORT` by server name.

use super::{Scene, Told};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use weir_model::node::{Node, Target};
use weir_model::{ChainKind, FilterChains, ListenerKind, Resource, ResourceSet, ResourceType, TcpListener};

/// Where the listener stands that is asked about; no sidecar has it.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 1);

/// How a connection is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Tcp,
    Tls,
}

impl Stream {
    /// By the scheme of a URL.
    pub(super) fn of_scheme(scheme: Option<&str>) -> Option<Stream> {
        match scheme {
            Some("tcp") => Some(Stream::Tcp),
            Some("tls") => Some(Stream::Tls),
            _ => None,
        }
    }

    /// Has a node ask for what the connection names.
    pub(super) fn ask(self, node: &mut Node, authority: &str) {
        // An Envoy chooses by server name on the listener of a service.
        match (self, node.target) {
            (Stream::Tls, Target::Weir | Target::Grpc) => node.uses = BTreeSet::from([authority.to_owned()]),
            (Stream::Tcp, _) | (_, Target::Envoy) => {
                node.outbound_tcp = BTreeMap::from([(NOWHERE, authority.to_owned())]);
            }
        }
    }

    fn listener<'a>(self, resources: &'a ResourceSet, authority: &str) -> Option<&'a ListenerKind> {
        let by_address = format!("outbound-tcp/{NOWHERE}");
        let found = [by_address.as_str(), authority].into_iter().find_map(|name| {
            match &**resources.get(ResourceType::Listener, name).map(|(_, resource)| resource)? {
                Resource::Listener(listener) => Some(&listener.kind),
                _ => None,
            }
        });
        found.filter(|kind| !matches!(kind, ListenerKind::Http(_)))
    }
}

impl Told {
    /// Where the connection goes.
    pub(super) fn stream(&mut self, scene: &Scene<'_>, stream: Stream, who: &str) {
        let authority = &scene.asked.authority;
        match stream.listener(scene.resources, authority) {
            None => {
                self.step("service", format!("{who} knows no port {authority:?} for bytes: the connection is closed"), vec![
                    "write tcp://SERVICE:PORT for an outbound TCP listener, tls://SERVER-NAME:PORT for the outbound TLS listener; the port's \
                     appProtocol is tcp or tls"
                        .to_owned(),
                ]);
                self.outcome("close".to_owned(), 1.0, Vec::new());
            }
            Some(ListenerKind::Tcp(tcp)) => {
                self.step("service", format!("{who} finds {authority:?}"), Vec::new());
                self.split(scene, tcp);
            }
            Some(ListenerKind::Chains(chains)) => {
                self.step("service", format!("{who} finds {authority:?}"), Vec::new());
                self.names(chains);
            }
            Some(ListenerKind::Http(_)) => {}
        }
    }

    /// The server name decides, and none was said.
    fn names(&mut self, chains: &FilterChains) {
        let all = chains.chains.iter().filter_map(|chain| {
            let ChainKind::Tcp(tcp) = &chain.kind else { return None };
            let names = match chain.matches.server_names.as_slice() {
                [] => "every server name".to_owned(),
                names => names.join(" "),
            };
            let clusters: Vec<&str> = tcp.targets.iter().map(|target| target.cluster.as_str()).collect();
            Some(format!("{names}: to {}", clusters.join(", ")))
        });
        let reasons = all.collect();
        let message = "TLS routes choose by server name; ask for tls://SERVER-NAME:PORT".to_owned();
        self.step("route", message, reasons);
        self.outcome("close, without one of these server names".to_owned(), 1.0, Vec::new());
    }

    fn split(&mut self, scene: &Scene<'_>, tcp: &TcpListener) {
        let sum: u64 = tcp.targets.iter().map(|target| u64::from(target.weight)).sum();
        let sides = tcp.targets.iter().map(|it| format!("{} {}/{sum}", it.cluster, it.weight)).collect();
        self.step("route", format!("each connection to one of {}", tcp.targets.len()), sides);
        for target in &tcp.targets {
            let share = f64::from(target.weight) / sum as f64;
            let found = scene.resources.get(ResourceType::Cluster, &target.cluster);
            let endpoints = match found.map(|(_, resource)| &**resource) {
                Some(Resource::Cluster(cluster)) => super::action::endpoints(scene, cluster, None),
                _ => Vec::new(),
            };
            match endpoints.is_empty() {
                true => self.outcome(format!("close ({} has no endpoint)", target.cluster), share, endpoints),
                false => self.outcome(target.cluster.clone(), share, endpoints),
            }
        }
    }
}
