use super::*;
use crate::samples;
use crate::snapshot::link::check_subsets;
use weir_decide::balance::subset::{Asked, Positions, Wanted};
use weir_model::{
    DropOverload, Endpoint, EndpointDetails, Fraction, Health, Label, Labels, Locality, LocalityEndpoints,
    OVERPROVISIONING, Random, SubsetConfig, SubsetSelector, ZoneAware, limits,
};

const NOW: Time = Time(1_000_000_000);

fn version(number: usize) -> Labels {
    [("version".to_owned(), Label::Text(number.to_string()))].into()
}

/// So many endpoints, each of a version and in a zone of its own.
fn endpoints(name: &str, count: usize) -> Endpoints {
    let one = |index: usize| LocalityEndpoints {
        locality: Locality { zone: format!("z{index}"), ..Locality::default() },
        priority: 0,
        weight: 1,
        endpoints: vec![Endpoint {
            address: ([10, 0, (index >> 8) as u8, index as u8], 80).into(),
            workload: String::new(),
            health: Health::Healthy,
            weight: 1,
            details: EndpointDetails { labels: version(index), ..EndpointDetails::default() }.boxed(),
        }],
    };
    Endpoints {
        name: name.to_owned(),
        localities: (0..count).map(one).collect(),
        overprovisioning: OVERPROVISIONING,
        weighted_priority_health: false,
        drops: Vec::new(),
    }
}

fn cluster(name: &str, change: impl FnOnce(&mut weir_model::Cluster)) -> Resource {
    let Resource::Cluster(mut cluster) = samples::cluster(name, name) else { panic!("a cluster") };
    change(&mut cluster);
    Resource::Cluster(cluster)
}

fn by_version(cluster: &mut weir_model::Cluster) {
    let selector = SubsetSelector { keys: vec!["version".to_owned()], fallback: None };
    cluster.subsets = Some(Box::new(SubsetConfig { selectors: vec![selector], ..SubsetConfig::default() }));
}

fn set(resources: impl IntoIterator<Item = Resource>) -> ResourceSet {
    let mut set = ResourceSet::default();
    resources.into_iter().for_each(|resource| set.insert(resource));
    set
}

/// Who serves requests for these labels.
fn served(cluster: &Cluster, wanted: Option<Labels>) -> Vec<SocketAddr> {
    let wanted = wanted.map(Wanted::new);
    let (mut positions, mut random) = (Positions::default(), Random::new(1));
    let asked = Asked { wanted: wanted.as_ref(), hash: None, now: NOW };
    let mut pick = || cluster.pick(&mut positions, &cluster.loads(NOW), asked, &mut random);
    let mut found: Vec<SocketAddr> =
        (0..100).filter_map(|_| pick()).map(|index| cluster.endpoints[index].address).collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[test]
fn subsets_follow_their_endpoints() {
    let mut linker = Linker::new(1);
    let mut link = |count: usize| {
        let resources = set([cluster("a", by_version), Resource::Endpoints(endpoints("a", count))]);
        linker.link(&resources, []).unwrap().live_clusters().next().unwrap().clone()
    };
    let first = link(2);
    let one: SocketAddr = "10.0.0.1:80".parse().unwrap();
    assert_eq!(served(&first, Some(version(1))), [one]);
    assert_eq!(served(&first, Some(version(2))), []);
    assert_eq!(served(&first, None), []);
    let second = link(3);
    assert_eq!(served(&second, Some(version(1))), [one]);
    assert_eq!(served(&second, Some(version(2))), ["10.0.0.2:80".parse().unwrap()]);
}

#[test]
fn too_many_subsets_are_refused_with_whichever_comes_last() {
    let many = || Resource::Endpoints(endpoints("a", limits::SUBSETS + 1));
    let few = || Resource::Endpoints(endpoints("a", limits::SUBSETS));
    let with = |known: Resource| set([known]);
    let refused = |resource: Resource, known: Resource| {
        check_subsets(&resource, &with(known)).map_err(|error| error.field)
    };
    assert_eq!(refused(many(), cluster("a", by_version)), Err("endpoints".to_owned()));
    assert_eq!(refused(cluster("a", by_version), many()), Err("lb_subset_config".to_owned()));
    assert_eq!(refused(few(), cluster("a", by_version)), Ok(()));
    assert_eq!(refused(many(), cluster("a", |_| ())), Ok(()), "not by anybody who selects");
    assert_eq!(refused(many(), cluster("b", by_version)), Ok(()));
}

#[test]
fn dropped_shares_are_counted_by_category_and_go_on() {
    let mut linker = Linker::new(1);
    let mut link = |drops: &[(&str, u32)]| {
        let drop = |(category, share): &(&str, u32)| DropOverload {
            category: (*category).to_owned(),
            share: Fraction(*share),
        };
        let endpoints = Endpoints { drops: drops.iter().map(drop).collect(), ..endpoints("a", 1) };
        let resources = set([cluster("a", |_| ()), Resource::Endpoints(endpoints)]);
        linker.link(&resources, []).unwrap().live_clusters().next().unwrap().clone()
    };
    let mut random = Random::new(5);
    let mut drops = |cluster: &Cluster| (0..10_000).filter(|_| cluster.drops(&mut random)).count();
    assert_eq!(drops(&link(&[])), 0);
    let half = link(&[("throttle", 500_000), ("rest", 1_000_000)]);
    assert_eq!(drops(&half), 10_000);
    let dropped: Vec<u64> = half.drops.iter().map(|drop| drop.dropped()).collect();
    assert!(dropped[0].abs_diff(5000) < 300 && dropped[0] + dropped[1] == 10_000, "{dropped:?}");
    let next = link(&[("throttle", 0)]);
    assert_eq!(drops(&next), 0);
    assert_eq!(next.drops[0].dropped(), dropped[0], "counted since it was first there");
}

#[test]
fn zones_are_shared_by_the_endpoints_of_ones_own_cluster() {
    let aware = |cluster: &mut weir_model::Cluster| {
        cluster.spread.by_locality = false;
        cluster.spread.zone_aware = Some(ZoneAware { min_cluster_size: 1, ..ZoneAware::default() });
    };
    let resources = |callers: usize| {
        set([
            cluster("a", aware),
            Resource::Endpoints(endpoints("a", 4)),
            cluster("own", |_| ()),
            Resource::Endpoints(endpoints("own", callers)),
        ])
    };
    let here = Locality { zone: "z2".to_owned(), ..Locality::default() };
    let found = |linker: &mut Linker, callers: usize| {
        let snapshot = linker.link(&resources(callers), []).unwrap();
        let cluster = snapshot.live_clusters().find(|cluster| cluster.model.name == "a").cloned();
        served(&cluster.unwrap(), None).len()
    };
    // A quarter of the callers and of the endpoints is here.
    let mut linker = Linker::new(1).with_local(here.clone(), Some("own".to_owned()));
    assert_eq!(found(&mut linker, 4), 1);
    // All callers are in three zones: a third of them has a quarter of the endpoints, and the rest goes where nobody is.
    assert_eq!(found(&mut linker, 3), 2);
    assert_eq!(found(&mut linker, 4), 1, "linked anew when only the callers change");
    // Who does not know where it belongs uses all of them.
    assert_eq!(found(&mut Linker::new(1), 4), 4);
    assert_eq!(found(&mut Linker::new(1).with_local(here, Some("gone".to_owned())), 4), 4);
}
