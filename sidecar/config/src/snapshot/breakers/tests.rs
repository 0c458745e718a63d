use super::*;
use crate::samples::{cluster, endpoints};
use crate::snapshot::link::Linker;
use weir_model::{Resource, ResourceSet};

#[test]
fn breakers_open_when_as_much_is_under_way_as_may_be() {
    let Resource::Cluster(mut model) = cluster("a", "a") else { unreachable!() };
    model.circuit_breakers.max_requests = 10;
    model.circuit_breakers.retry_budget.min_concurrency = 1;
    let mut set = ResourceSet::default();
    set.insert(Resource::Cluster(model));
    set.insert(endpoints("a", &[1]));
    let snapshot = Linker::new(1).link(&set, []).unwrap();
    let cluster = snapshot.live_clusters().next().unwrap();
    let of =
        |name: &str| cluster.breakers(Priority::Default).into_iter().find(|one| one.name == name).unwrap();
    assert_eq!((of("requests").remaining(), of("requests").is_open()), (10, false));
    assert_eq!(of("retries").max, 1);
    cluster.state.requests.store(10, Relaxed);
    assert_eq!((of("requests").remaining(), of("requests").is_open()), (0, true));
    assert_eq!(of("retries").max, 2, "a fifth of what is under way");
    assert!(cluster.uses(Priority::Default) && !cluster.uses(Priority::High));
    cluster.state.of(Priority::High).pending.store(1, Relaxed);
    assert!(cluster.uses(Priority::High));
    assert!(!of("pending").is_open(), "priorities are counted apart");
}
