use super::*;
use std::time::Duration;
use weir_model::{DnsLocality, Health, OVERPROVISIONING, Resource, ResourceSet};

use crate::snapshot::link::Linker;

fn dns(name: &str, port: u16) -> Dns {
    let host = DnsHost { name: name.to_owned(), port, health: Health::Healthy, weight: 3, details: None };
    Dns {
        logical: false,
        refresh: Duration::from_millis(1),
        failure_refresh: Duration::from_millis(1),
        family: DnsFamily::V4Preferred,
        endpoints: Endpoints {
            name: "a".to_owned(),
            localities: Vec::new(),
            overprovisioning: OVERPROVISIONING,
            weighted_priority_health: false,
            drops: Vec::new(),
        },
        hosts: vec![DnsLocality { locality: Default::default(), priority: 0, weight: 1, hosts: vec![host] }],
    }
}

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn families_are_envoys() {
    let both = || addresses(&["[::2]:80", "1.1.1.1:80", "[::1]:80", "1.1.1.1:80"]);
    let (v4, v6) = (addresses(&["1.1.1.1:80"]), addresses(&["[::1]:80", "[::2]:80"]));
    for (family, expected) in [
        (DnsFamily::Auto, &v6),
        (DnsFamily::V6Only, &v6),
        (DnsFamily::V4Only, &v4),
        (DnsFamily::V4Preferred, &v4),
    ] {
        assert_eq!(chosen(both(), family, false), *expected, "{family:?}");
    }
    assert_eq!(chosen(both(), DnsFamily::All, false).len(), 3);
    assert_eq!(chosen(v4.clone(), DnsFamily::Auto, false), v4);
    assert_eq!(chosen(v4.clone(), DnsFamily::V6Only, false), []);
    assert_eq!(chosen(both(), DnsFamily::All, true), addresses(&["[::2]:80"]));
    let many = (0..2 * limits::DNS_ADDRESSES as u32).map(|n| SocketAddr::from((n.to_be_bytes(), 80)));
    assert_eq!(chosen(many.collect(), DnsFamily::All, false).len(), limits::DNS_ADDRESSES);
}

#[test]
fn each_address_is_an_endpoint_with_the_names_words() {
    let mut dns = dns("shop.example", 80);
    let details =
        EndpointDetails { check_address: Some(([0, 0, 0, 0], 81).into()), ..EndpointDetails::default() };
    dns.hosts[0].hosts[0].details = details.boxed();
    let found = [(("shop.example".to_owned(), 80), addresses(&["1.1.1.1:80", "2.2.2.2:80"]))].into();
    let endpoints = endpoints(&dns, &found);
    let all: Vec<&Endpoint> = endpoints.iter().map(|(_, endpoint)| endpoint).collect();
    assert_eq!(all.len(), 2);
    for endpoint in all {
        let details = endpoint.details.as_ref().unwrap();
        assert_eq!((endpoint.weight, details.hostname.as_str()), (3, "shop.example"));
        assert_eq!(details.check_address, Some(SocketAddr::new(endpoint.address.ip(), 81)));
    }
}

#[tokio::test]
async fn a_cluster_of_a_snapshot_is_looked_up_while_it_is_there() {
    let mut cluster = match crate::samples::cluster("a", "a") {
        Resource::Cluster(cluster) => cluster,
        other => panic!("{other:?}"),
    };
    cluster.discovery = Discovery::Dns(Box::new(dns("localhost", 8080)));
    let mut resources = ResourceSet::default();
    resources.insert(Resource::Cluster(cluster));
    let mut linker = Linker::new(1);
    let snapshot = linker.link(&resources, []).unwrap();
    let first = snapshot.live_clusters().next().unwrap().clone();
    assert_eq!(first.endpoints.len(), 0);
    let (snapshots, published) = watch::channel(Arc::new(snapshot));
    let mut taken = start(published);
    let resolved = taken.recv().await.unwrap();
    assert_eq!(resolved.cluster, "a");
    let count = resolved.endpoints.iter().count();
    assert!(count > 0 && resolved.endpoints.iter().all(|(_, it)| it.address.ip().is_loopback()));
    assert!(linker.resolve(&resolved.cluster, resolved.endpoints.clone()));
    assert!(!linker.resolve(&resolved.cluster, resolved.endpoints), "nothing new");
    let snapshot = linker.link(&resources, []).unwrap();
    let second = snapshot.live_clusters().next().unwrap().clone();
    assert_eq!(second.endpoints.len(), count);
    assert_eq!(second.state.id, first.state.id);
    // It goes on while the cluster is there, and what is the same is linked as it was.
    snapshots.send_replace(Arc::new(snapshot));
    let again = taken.recv().await.unwrap();
    assert!(!linker.resolve(&again.cluster, again.endpoints));
    let third = linker.link(&resources, []).unwrap();
    assert!(Arc::ptr_eq(third.live_clusters().next().unwrap(), &second));
    // And ends with the publisher.
    drop(snapshots);
    while taken.recv().await.is_some() {}
}

#[test]
fn what_nobody_configures_is_not_taken() {
    let mut linker = Linker::new(1);
    assert!(!linker.resolve("gone", dns("a", 1).endpoints));
}
