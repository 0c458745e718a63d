use super::*;
use crate::samples::{cluster, endpoints, listener, routes};
use proptest::prelude::*;

fn put(graph: &mut Graph, resource: Resource) -> bool {
    graph.upsert(resource.version(), Arc::new(resource)).unwrap();
    let changed = graph.settle();
    assert_eq!(graph.effective().dangling(), []);
    changed
}

fn take(graph: &mut Graph, kind: ResourceType, name: &str) -> bool {
    graph.remove(kind, name);
    let changed = graph.settle();
    assert_eq!(graph.effective().dangling(), []);
    changed
}

fn effective(graph: &Graph) -> Vec<&str> {
    graph.effective().iter().map(|(_, name, _, _)| name).collect()
}

#[test]
fn a_listener_waits_for_everything_below_it() {
    let mut graph = Graph::default();
    assert!(!put(&mut graph, listener("reviews", "r")));
    assert!(!put(&mut graph, routes("r", &["c"])));
    assert!(!put(&mut graph, cluster("c", "e")));
    assert_eq!(effective(&graph), [""; 0]);
    let waits: Vec<_> =
        graph.pending().into_iter().map(|pending| (pending.name, pending.waits_for)).collect();
    assert!(waits.contains(&("c".to_owned(), vec![(ResourceType::Endpoints, "e".to_owned())])), "{waits:?}");
    assert!(put(&mut graph, endpoints("e", &[])));
    assert_eq!(effective(&graph), ["c", "e", "reviews", "r"]);
    assert_eq!(graph.pending(), []);
}

#[test]
fn the_old_version_serves_until_the_new_one_is_complete() {
    let mut graph = Graph::default();
    for resource in [endpoints("e1", &[]), cluster("c1", "e1"), routes("r", &["c1"]), listener("l", "r")] {
        put(&mut graph, resource);
    }
    let old = graph.effective().get(ResourceType::Route, "r").unwrap().0;
    assert!(!put(&mut graph, routes("r", &["c1", "c2"])));
    assert_eq!(graph.effective().get(ResourceType::Route, "r").unwrap().0, old);
    let pending = graph.pending();
    assert_eq!(pending.len(), 1);
    assert!(pending[0].has_effective);
    assert_eq!(pending[0].waits_for, [(ResourceType::Cluster, "c2".to_owned())]);
    put(&mut graph, endpoints("e2", &[]));
    assert!(put(&mut graph, cluster("c2", "e2")));
    assert_ne!(graph.effective().get(ResourceType::Route, "r").unwrap().0, old);
}

#[test]
fn a_removed_cluster_stays_while_a_route_refers_to_it() {
    let mut graph = Graph::default();
    for resource in [endpoints("e", &[]), cluster("c", "e"), routes("r", &["c"]), listener("l", "r")] {
        put(&mut graph, resource);
    }
    assert!(!take(&mut graph, ResourceType::Cluster, "c"));
    assert!(!take(&mut graph, ResourceType::Endpoints, "e"));
    assert!(!take(&mut graph, ResourceType::Route, "r"));
    assert!(take(&mut graph, ResourceType::Listener, "l"));
    assert_eq!(effective(&graph), [""; 0]);
}

#[test]
fn a_removal_that_is_taken_back_changes_nothing() {
    let mut graph = Graph::default();
    for resource in [endpoints("e", &[]), cluster("c", "e"), routes("r", &["c"])] {
        put(&mut graph, resource);
    }
    assert!(!take(&mut graph, ResourceType::Cluster, "c"));
    assert!(!put(&mut graph, cluster("c", "e")));
    assert_eq!(graph.pending(), []);
}

#[test]
fn names_to_subscribe_to_are_those_that_anything_refers_to() {
    let mut graph = Graph::default();
    put(&mut graph, listener("l", "r1"));
    put(&mut graph, cluster("c", "e"));
    assert_eq!(graph.referred(ResourceType::Route), BTreeSet::from(["r1".to_owned()]));
    assert_eq!(graph.referred(ResourceType::Endpoints), BTreeSet::from(["e".to_owned()]));
    put(&mut graph, routes("r1", &[]));
    put(&mut graph, listener("l", "r2"));
    assert_eq!(
        graph.referred(ResourceType::Route),
        BTreeSet::from(["r1".to_owned(), "r2".to_owned()]),
        "the old one is still in force"
    );
}

#[test]
fn what_is_restored_is_closed_even_if_what_was_saved_is_not() {
    let mut saved = ResourceSet::default();
    for resource in
        [endpoints("e", &[]), cluster("c", "e"), cluster("lost", "nowhere"), routes("r", &["c", "lost"])]
    {
        saved.insert(resource);
    }
    let graph = Graph::restored(saved);
    assert_eq!(effective(&graph), ["c", "e"]);
    assert_eq!(graph.pending(), []);
}

#[test]
fn a_full_graph_refuses_new_names_and_takes_new_versions() {
    let mut graph = Graph::default();
    for number in 0..limits::RESOURCES {
        let resource = endpoints(&number.to_string(), &[]);
        graph.upsert(Version(number as u64), Arc::new(resource)).unwrap();
    }
    assert_eq!(graph.upsert(Version(0), Arc::new(endpoints("one more", &[]))), Err(Full));
    assert_eq!(graph.upsert(Version(7), Arc::new(endpoints("7", &[]))), Ok(()));
}

#[derive(Clone, Debug)]
enum Step {
    Put(Box<Resource>),
    Take(ResourceType, String),
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c"]).prop_map(str::to_owned)
}

fn resource() -> impl Strategy<Value = Resource> {
    prop_oneof![
        name().prop_map(|name| endpoints(&name, &[])),
        (name(), name()).prop_map(|(name, eds)| cluster(&name, &eds)),
        (name(), prop::collection::vec(name(), 0..3)).prop_map(|(name, clusters)| {
            routes(&name, &clusters.iter().map(String::as_str).collect::<Vec<_>>())
        }),
        (name(), name()).prop_map(|(name, rds)| listener(&name, &rds)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => resource().prop_map(|resource| Step::Put(Box::new(resource))),
        1 => (prop::sample::select(ResourceType::ALL.to_vec()), name()).prop_map(|(kind, name)| Step::Take(kind, name)),
    ]
}

proptest! {
    /// Closed after every step, in any order; nothing is served that was not received at some time; and what is received
    /// and closed is served.
    #[test]
    fn closed_always_and_converges(steps in prop::collection::vec((step(), any::<bool>()), 0..60)) {
        let mut graph = Graph::default();
        let mut last = ResourceSet::default();
        for (step, settle) in steps {
            match step {
                Step::Put(resource) => {
                    last.insert((*resource).clone());
                    graph.upsert(resource.version(), Arc::from(resource)).unwrap();
                }
                Step::Take(kind, name) => {
                    let was_there = last.remove(kind, &name);
                    prop_assert_eq!(graph.remove(kind, &name), was_there);
                }
            }
            // Several changes may arrive together.
            if settle {
                graph.settle();
                prop_assert_eq!(graph.effective().dangling(), vec![]);
                prop_assert!(!graph.settle(), "settled twice means nothing");
                if last.dangling().is_empty() {
                    prop_assert_eq!(&**graph.effective(), &last);
                    prop_assert_eq!(graph.pending(), vec![]);
                } else {
                    for pending in graph.pending() {
                        prop_assert!(last.get(pending.kind, &pending.name).is_some());
                    }
                }
            }
        }
        prop_assert_eq!(graph.received(), &last);
    }

    /// Any closed set arriving in any order ends up in force as a whole.
    #[test]
    fn order_does_not_matter(steps in prop::collection::vec(resource(), 0..30), seed in any::<u64>()) {
        let mut wanted = ResourceSet::default();
        for resource in steps {
            wanted.insert(resource);
        }
        while let Some((from, ..)) = wanted.dangling().pop() {
            for kind in ResourceType::ALL {
                wanted.remove(kind, &from);
            }
        }
        let mut resources: Vec<_> = wanted.iter().map(|(_, _, version, resource)| (version, resource.clone())).collect();
        let mut random = weir_model::Random::new(seed);
        for last in (1..resources.len()).rev() {
            resources.swap(last, random.below(last as u64 + 1) as usize);
        }
        let mut graph = Graph::default();
        for (version, resource) in resources {
            graph.upsert(version, resource).unwrap();
            graph.settle();
            prop_assert_eq!(graph.effective().dangling(), vec![]);
        }
        prop_assert_eq!(&**graph.effective(), &wanted);
    }
}
