//! What a name in a request means, and which names a service has.

use weir_model::mesh::{AppProtocol, Mesh, Name, Service};

/// The service port that an authority names for a client in `namespace`: `NAME` (of its own namespace), `NAME.NAMESPACE`,
/// `NAME.NAMESPACE.svc` or `NAME.NAMESPACE.svc.cluster.local`, with or without `:PORT`. Case and a trailing dot do not matter.
///
/// Without a port it is port 80 if the service has it, else its first one that is not opaque; opaque ports are found by their number only.
pub fn resolve(mesh: &Mesh, authority: &str, namespace: &str) -> Option<(Name, u16)> {
    let authority = authority.to_ascii_lowercase();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, Some(parse_port(port)?)),
        None => (authority.as_str(), None),
    };
    let name = service_name(host.strip_suffix('.').unwrap_or(host), namespace)?;
    let service = mesh.services.get(&name)?;
    let port = match port {
        Some(port) => service.ports.iter().any(|candidate| candidate.port == port).then_some(port),
        None => default_port(service),
    };
    Some((name, port?))
}

fn parse_port(text: &str) -> Option<u16> {
    // `u16::from_str` takes a sign as well.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// The service that a host name means.
pub(crate) fn service_name(host: &str, namespace: &str) -> Option<Name> {
    let full = host.strip_suffix(".svc.cluster.local").or_else(|| host.strip_suffix(".svc"));
    let name = match (full.unwrap_or(host).split_once('.'), full) {
        (Some((name, namespace)), _) => Name::new(namespace, name),
        (None, None) => Name::new(namespace, host),
        // `reviews.svc` is a service of the namespace `svc`; a full name needs its namespace.
        (None, Some(name)) if host.len() == name.len() + ".svc".len() => Name::new("svc", name),
        (None, Some(_)) => return None,
    };
    (!name.name.is_empty() && !name.namespace.is_empty()).then_some(name)
}

/// The port a name without one means.
fn default_port(service: &Service) -> Option<u16> {
    let mut http =
        service.ports.iter().filter(|port| port.protocol != AppProtocol::Tcp).map(|port| port.port);
    let first = http.clone().next();
    http.find(|port| *port == 80).or(first)
}

/// Every authority of a service's port for a client in `namespace`, without repetition.
pub fn authorities(name: &Name, service: &Service, port: u16, namespace: &str) -> Vec<String> {
    let Name { namespace: own, name } = name;
    let mut hosts = Vec::new();
    if own == namespace {
        hosts.push(name.clone());
    }
    hosts.extend(["", ".svc", ".svc.cluster.local"].map(|suffix| format!("{name}.{own}{suffix}")));
    let is_default = default_port(service) == Some(port);
    hosts
        .into_iter()
        .flat_map(|host| {
            let with_port = format!("{host}:{port}");
            is_default.then_some(host).into_iter().chain([with_port])
        })
        .collect()
}

#[cfg(test)]
mod tests;
