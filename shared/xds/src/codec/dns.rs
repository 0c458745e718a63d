//! Clusters whose endpoints have names that the data plane looks up (`STRICT_DNS`, `LOGICAL_DNS`).
//!
//! What DNS itself says of how long an answer is good (`respect_dns_ttl`) is not known here, since the system's resolver does not tell: names
//! are looked up again at the refresh rate, as without it.

use super::fault::{At, Check, Fault, each, refuse, required};
use super::pb::{cluster, core, endpoint};
use super::{endpoints, wire};
use cluster::cluster::DnsLookupFamily;
use core::socket_address::PortSpecifier;
use endpoint::lb_endpoint::HostIdentifier;
use std::time::Duration;
use weir_model::{Dns, DnsFamily, DnsHost, DnsLocality, Endpoint, limits};

/// Envoy's own refresh rate where a message does not say.
const REFRESH: Duration = Duration::from_secs(5);

/// Adds what a cluster's message says of names.
#[allow(deprecated, reason = "the fields that everybody writes")]
pub(super) fn encode(dns: &Dns, message: &mut cluster::Cluster) {
    message.dns_refresh_rate = Some(wire::duration(dns.refresh));
    message.dns_failure_refresh_rate = Some(cluster::cluster::RefreshRate {
        base_interval: Some(wire::duration(dns.failure_refresh)),
        max_interval: Some(wire::duration(dns.failure_refresh)),
    });
    message.dns_lookup_family = match dns.family {
        DnsFamily::Auto => DnsLookupFamily::Auto,
        DnsFamily::V4Preferred => DnsLookupFamily::V4Preferred,
        DnsFamily::V4Only => DnsLookupFamily::V4Only,
        DnsFamily::V6Only => DnsLookupFamily::V6Only,
        DnsFamily::All => DnsLookupFamily::All,
    } as i32;
    let mut assignment = endpoints::encode(&dns.endpoints);
    assignment.endpoints = dns.hosts.iter().map(locality).collect();
    message.load_assignment = Some(assignment);
}

/// The names of a cluster's message.
#[allow(deprecated, reason = "the fields that everybody writes")]
pub(super) fn decode(message: &cluster::Cluster, logical: bool) -> Check<Box<Dns>> {
    refuse!(message; typed_dns_resolver_config, dns_resolution_config, dns_resolvers, use_tcp_for_dns_lookups);
    let assignment = required("load_assignment", message.load_assignment.as_ref())?;
    let hosts = from_localities(&assignment.endpoints).at("load_assignment")?;
    let total: usize = hosts.iter().map(|locality| locality.hosts.len()).sum();
    if logical && total != 1 {
        let text = format!("LOGICAL_DNS has one host, not {total}");
        return Err(Fault::of("load_assignment.endpoints", text));
    }
    if total > limits::DNS_HOSTS {
        let text = format!("{total} names, at most {} are taken", limits::DNS_HOSTS);
        return Err(Fault::of("load_assignment.endpoints", text));
    }
    let rest = endpoint::ClusterLoadAssignment { endpoints: Vec::new(), ..assignment.clone() };
    let refresh = wire::optional_duration("dns_refresh_rate", message.dns_refresh_rate.as_ref())?;
    if refresh.is_some_and(|refresh| refresh <= Duration::from_millis(1)) {
        return Err(Fault::of("dns_refresh_rate", "must be above 1 ms"));
    }
    let refresh = refresh.unwrap_or(REFRESH);
    let failure = match &message.dns_failure_refresh_rate {
        Some(rate) => wire::optional_duration("base_interval", rate.base_interval.as_ref())
            .at("dns_failure_refresh_rate")?
            .filter(|interval| !interval.is_zero()),
        None => None,
    };
    Ok(Box::new(Dns {
        logical,
        refresh,
        failure_refresh: failure.unwrap_or(refresh),
        family: match DnsLookupFamily::try_from(message.dns_lookup_family) {
            Ok(DnsLookupFamily::Auto) => DnsFamily::Auto,
            Ok(DnsLookupFamily::V4Preferred) => DnsFamily::V4Preferred,
            Ok(DnsLookupFamily::V4Only) => DnsFamily::V4Only,
            Ok(DnsLookupFamily::V6Only) => DnsFamily::V6Only,
            Ok(DnsLookupFamily::All) => DnsFamily::All,
            Err(_) => {
                return Err(Fault::of(
                    "dns_lookup_family",
                    format!("{} is unknown", message.dns_lookup_family),
                ));
            }
        },
        endpoints: endpoints::decode(&rest).at("load_assignment")?,
        hosts,
    }))
}

fn from_localities(localities: &[endpoint::LocalityLbEndpoints]) -> Check<Vec<DnsLocality>> {
    each("endpoints", localities, limits::DNS_HOSTS, |message| {
        // An address in place of each name, so that everything else is read as it is of endpoints with addresses.
        let mut named = message.clone();
        let mut hosts = Vec::new();
        for (index, one) in named.lb_endpoints.iter_mut().enumerate() {
            let host = match &mut one.host_identifier {
                Some(HostIdentifier::Endpoint(host)) => host,
                _ => return Err(Fault::of("endpoint", "missing")).at_index("lb_endpoints", index),
            };
            let name = from_host(host).at("endpoint").at_index("lb_endpoints", index)?;
            host.address = Some(wire::address(([0, 0, 0, 0], name.1).into()));
            hosts.push(name);
        }
        let locality = endpoints::from_locality(&named)?;
        let host = |(endpoint, (name, port)): (Endpoint, (String, u16))| DnsHost {
            name,
            port,
            health: endpoint.health,
            weight: endpoint.weight,
            details: endpoint.details,
        };
        Ok(DnsLocality {
            locality: locality.locality,
            priority: locality.priority,
            weight: locality.weight,
            hosts: locality.endpoints.into_iter().zip(hosts).map(host).collect(),
        })
    })
}

/// A name and a port.
fn from_host(host: &endpoint::Endpoint) -> Check<(String, u16)> {
    let inner = || {
        let address = required("address", host.address.as_ref())?;
        let Some(core::address::Address::SocketAddress(socket)) = &address.address else {
            return Err(Fault::of("socket_address", "missing"));
        };
        let inner = || {
            refuse!(socket; protocol, resolver_name, network_namespace_filepath);
            let name = wire::name("address", &socket.address)?;
            if name.len() > limits::DNS_NAME_BYTES {
                return Err(Fault::of("address", format!("longer than {} bytes", limits::DNS_NAME_BYTES)));
            }
            match &socket.port_specifier {
                Some(PortSpecifier::PortValue(port)) => match u16::try_from(*port) {
                    Ok(port) => Ok((name, port)),
                    Err(_) => Err(Fault::of("port_value", format!("{port} is above 65535"))),
                },
                Some(PortSpecifier::NamedPort(_)) => Err(Fault::unsupported("named_port")),
                None => Err(Fault::of("port_value", "missing")),
            }
        };
        inner().at("socket_address")
    };
    inner().at("address")
}

fn locality(locality: &DnsLocality) -> endpoint::LocalityLbEndpoints {
    let plain = weir_model::LocalityEndpoints {
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
    };
    let mut message = endpoints::locality(&plain);
    for (one, host) in message.lb_endpoints.iter_mut().zip(&locality.hosts) {
        let Some(HostIdentifier::Endpoint(endpoint)) = &mut one.host_identifier else { continue };
        if let Some(core::Address { address: Some(core::address::Address::SocketAddress(socket)) }) =
            &mut endpoint.address
        {
            socket.address.clone_from(&host.name);
        }
    }
    message
}
