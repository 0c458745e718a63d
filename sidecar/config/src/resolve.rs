//! Names that clusters are looked up by (xDS `STRICT_DNS`, `LOGICAL_DNS`): a task beside the configuration's looks them up, again and again.
//!
//! What is found becomes the cluster's endpoints. **A look-up that fails, or finds nothing, changes nothing**: what was found before is served
//! on, as in Envoy. The system's resolver does not tell how long its answers are good, so names are looked up at the cluster's refresh rate.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use weir_model::{
    Discovery, Dns, DnsFamily, DnsHost, Endpoint, EndpointDetails, Endpoints, LocalityEndpoints, limits,
};
use weir_runtime::net;

use crate::snapshot::Snapshot;

/// What was found under the names of a cluster.
pub(crate) struct Resolved {
    pub(crate) cluster: String,
    pub(crate) endpoints: Endpoints,
}

/// Answers that wait to be taken.
const WAITING: usize = 16;

/// One cluster that is looked up.
struct Looking {
    dns: Box<Dns>,
    task: JoinHandle<()>,
}

/// Looks up the names of every snapshot's clusters, until nobody takes the answers or publishes any more. The first look-up of a cluster
/// begins when it is in a snapshot.
pub(crate) fn start(mut snapshots: watch::Receiver<Arc<Snapshot>>) -> mpsc::Receiver<Resolved> {
    let (answers, taken) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let room = Arc::new(Semaphore::new(limits::DNS_LOOKUPS));
        let mut looking: HashMap<String, Looking> = HashMap::new();
        loop {
            let wanted: BTreeMap<String, Box<Dns>> = wanted(&snapshots.borrow_and_update());
            looking.retain(|name, known| {
                let stays = wanted.get(name).is_some_and(|dns| *dns == known.dns);
                if !stays {
                    known.task.abort();
                }
                stays
            });
            for (name, dns) in wanted {
                looking.entry(name.clone()).or_insert_with(|| {
                    let task = look_up(name, dns.clone(), room.clone(), answers.clone());
                    Looking { dns, task: tokio::spawn(task) }
                });
            }
            tokio::select! {
                changed = snapshots.changed() => if changed.is_err() { break },
                () = answers.closed() => break,
            }
        }
        looking.into_values().for_each(|known| known.task.abort());
    });
    taken
}

fn wanted(snapshot: &Snapshot) -> BTreeMap<String, Box<Dns>> {
    let clusters = snapshot.live_clusters().filter_map(|cluster| match &cluster.model.discovery {
        Discovery::Dns(dns) => Some((cluster.model.name.clone(), dns.clone())),
        Discovery::Eds(_) | Discovery::Static(_) => None,
    });
    clusters.collect()
}

/// Looks up the names of one cluster for ever.
async fn look_up(cluster: String, dns: Box<Dns>, room: Arc<Semaphore>, answers: mpsc::Sender<Resolved>) {
    let mut known: HashMap<(String, u16), Vec<SocketAddr>> = HashMap::new();
    loop {
        let mut failed = false;
        let mut found = HashMap::new();
        for host in dns.hosts.iter().flat_map(|locality| &locality.hosts) {
            let key = (host.name.clone(), host.port);
            if found.contains_key(&key) {
                continue;
            }
            // The semaphore is never closed.
            let place = room.acquire().await;
            let answer = net::lookup(&host.name, host.port, limits::DNS_TIME).await;
            drop(place);
            let addresses = match answer {
                Ok(addresses) => chosen(addresses, dns.family, dns.logical),
                Err(error) => {
                    tracing::debug!(cluster, name = host.name, "cannot be looked up: {error}");
                    failed = true;
                    Vec::new()
                }
            };
            let addresses = match addresses.is_empty() {
                true => known.remove(&key).unwrap_or_default(),
                false => addresses,
            };
            found.insert(key, addresses);
        }
        known = found;
        let endpoints = endpoints(&dns, &known);
        if answers.send(Resolved { cluster: cluster.clone(), endpoints }).await.is_err() {
            return;
        }
        let pause = if failed { dns.failure_refresh } else { dns.refresh };
        tokio::time::sleep(pause.max(limits::DNS_REFRESH)).await;
    }
}

/// The addresses that count, in order, so that the same answer in another order is the same.
fn chosen(mut addresses: Vec<SocketAddr>, family: DnsFamily, first: bool) -> Vec<SocketAddr> {
    let of = |addresses: &[SocketAddr], v6: bool| -> Vec<SocketAddr> {
        addresses.iter().copied().filter(|address| address.is_ipv6() == v6).collect()
    };
    let either = |one: Vec<SocketAddr>, other: Vec<SocketAddr>| if one.is_empty() { other } else { one };
    let mut counting = match family {
        DnsFamily::All => std::mem::take(&mut addresses),
        DnsFamily::V4Only => of(&addresses, false),
        DnsFamily::V6Only => of(&addresses, true),
        DnsFamily::Auto => either(of(&addresses, true), of(&addresses, false)),
        DnsFamily::V4Preferred => either(of(&addresses, false), of(&addresses, true)),
    };
    if first {
        counting.truncate(1);
    }
    counting.sort_unstable();
    counting.dedup();
    counting.truncate(limits::DNS_ADDRESSES);
    counting
}

/// An endpoint for each address of each name, known by the name as its host.
fn endpoints(dns: &Dns, found: &HashMap<(String, u16), Vec<SocketAddr>>) -> Endpoints {
    let of = |host: &DnsHost| -> Vec<Endpoint> {
        let addresses = found.get(&(host.name.clone(), host.port)).cloned().unwrap_or_default();
        let own: Option<IpAddr> = host.name.parse().ok();
        let details = host.details.as_deref().cloned().unwrap_or_default();
        // A name is its endpoints' host, unless the cluster says another; an address is not.
        let hostname = match (details.hostname.is_empty(), own) {
            (true, None) => host.name.clone(),
            _ => details.hostname.clone(),
        };
        let one = |address: SocketAddr| {
            // Where it is checked has the same address; only the port was said.
            let check_address =
                details.check_address.map(|check| SocketAddr::new(address.ip(), check.port()));
            let check_address = check_address.filter(|check| *check != address);
            let details =
                EndpointDetails { hostname: hostname.clone(), check_address, ..details.clone() }.boxed();
            Endpoint { address, workload: String::new(), health: host.health, weight: host.weight, details }
        };
        addresses.into_iter().map(one).collect()
    };
    let localities = dns.hosts.iter().map(|locality| LocalityEndpoints {
        locality: locality.locality.clone(),
        priority: locality.priority,
        weight: locality.weight,
        endpoints: locality.hosts.iter().flat_map(of).collect(),
    });
    Endpoints { localities: localities.collect(), ..dns.endpoints.clone() }
}

#[cfg(test)]
mod tests;
