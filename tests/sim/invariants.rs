//! What must hold of a snapshot, whatever happened.

use weir_config::{Action, ListenerKind, Named, Routes, Snapshot, Tcp};
use weir_model::{
    ChainKind, ListenerKind as Kind, Resource, ResourceSet, ResourceType, RouteAction, RouteConfiguration,
    RouteSource, TcpListener,
};

/// Every index of a snapshot exists and means what the resource it was linked from says.
pub(crate) fn linked(snapshot: &Snapshot, effective: &ResourceSet) -> Result<(), String> {
    let live = snapshot.live_clusters().count();
    let clusters = effective.of(ResourceType::Cluster).count();
    if live != clusters {
        return Err(format!("{clusters} clusters are in force and {live} are linked"));
    }
    for (name, _, resource) in effective.of(ResourceType::Listener) {
        let Resource::Listener(listener) = &**resource else { continue };
        match (&listener.kind, listener.address) {
            (Kind::Http(http), address) => {
                let model = match &http.routes {
                    RouteSource::Inline(routes) => routes,
                    RouteSource::Rds(target) => {
                        match effective.get(ResourceType::Route, target).map(|(_, it)| &**it) {
                            Some(Resource::Route(routes)) => routes,
                            _ => return Err(format!("listener {name} has no routes {target}")),
                        }
                    }
                };
                let found = match address {
                    // Not by looking it up, which would count as a use.
                    None => match snapshot.names().find(|(known, _)| *known == name) {
                        Some((_, Some(Named::Routes(found)))) => &found.routes,
                        other => return Err(format!("{name} is in force and resolves to {other:?}")),
                    },
                    Some(address) => match snapshot.listener(address).map(|listener| &listener.kind) {
                        Some(ListenerKind::Http { routes, .. }) => routes,
                        other => return Err(format!("listener {name} is in force and linked as {other:?}")),
                    },
                };
                routes(snapshot, found, model)?;
            }
            (Kind::Tcp(tcp), Some(address)) => {
                match snapshot.listener(address).map(|listener| &listener.kind) {
                    Some(ListenerKind::Tcp(linked)) => bytes(snapshot, linked, tcp)?,
                    other => return Err(format!("listener {name} is in force and linked as {other:?}")),
                }
            }
            (Kind::Tcp(tcp), None) => match snapshot.names().find(|(known, _)| *known == name) {
                Some((_, Some(Named::Bytes(linked)))) => bytes(snapshot, linked, tcp)?,
                other => return Err(format!("{name} is in force and resolves to {other:?}")),
            },
            (Kind::Chains(model), Some(address)) => match snapshot.listener(address).map(|it| &it.kind) {
                Some(ListenerKind::Chains(linked)) => {
                    for (linked, model) in linked.kinds().zip(model.kinds()) {
                        if let (ListenerKind::Tcp(linked), ChainKind::Tcp(tcp)) = (linked, model) {
                            bytes(snapshot, linked, tcp)?;
                        }
                    }
                }
                other => return Err(format!("listener {name} is in force and linked as {other:?}")),
            },
            (Kind::Chains(_), None) => return Err(format!("{name} has chains and no address")),
        }
    }
    Ok(())
}

fn bytes(snapshot: &Snapshot, linked: &Tcp, model: &TcpListener) -> Result<(), String> {
    let mut sides = linked.targets.iter().zip(&model.targets);
    sides.try_for_each(|(linked, model)| index(snapshot, *linked, &model.cluster))
}

fn routes(snapshot: &Snapshot, linked: &Routes, model: &RouteConfiguration) -> Result<(), String> {
    if linked.hosts.len() != model.virtual_hosts.len() {
        return Err(format!(
            "{}: {} virtual hosts linked of {}",
            model.name,
            linked.hosts.len(),
            model.virtual_hosts.len()
        ));
    }
    for (linked, model) in linked.hosts.iter().zip(&model.virtual_hosts) {
        if linked.len() != model.routes.len() {
            return Err(format!("{}: {} routes linked of {}", model.name, linked.len(), model.routes.len()));
        }
        for (linked, model) in linked.iter().zip(&model.routes) {
            match (&linked.action, &model.action) {
                (Action::Forward(linked), RouteAction::Forward(model)) => {
                    if linked.targets.len() != model.clusters.len() {
                        return Err(format!(
                            "a split has {} sides of {}",
                            linked.targets.len(),
                            model.clusters.len()
                        ));
                    }
                    for (target, weighted) in linked.targets.iter().zip(&model.clusters) {
                        index(snapshot, target.cluster, &weighted.cluster)?;
                    }
                }
                (Action::Redirect(_), RouteAction::Redirect(_))
                | (Action::Direct(_), RouteAction::Direct(_)) => {}
                (linked, model) => return Err(format!("{model:?} is linked as {linked:?}")),
            }
        }
    }
    Ok(())
}

fn index(snapshot: &Snapshot, index: usize, name: &str) -> Result<(), String> {
    match snapshot.clusters.get(index) {
        None => Err(format!("index {index} for the cluster {name} does not exist")),
        Some(cluster) if cluster.is_vacant() => {
            Err(format!("index {index} for the cluster {name} is vacant"))
        }
        Some(cluster) if cluster.model.name != name => {
            Err(format!("index {index} for the cluster {name} is {}", cluster.model.name))
        }
        Some(cluster) => {
            let configured = cluster.assignment().map_or(0, |endpoints| endpoints.iter().count());
            match cluster.endpoints.len() == configured {
                true => Ok(()),
                false => Err(format!(
                    "the cluster {name} has {configured} endpoints and {} are linked",
                    cluster.endpoints.len()
                )),
            }
        }
    }
}
