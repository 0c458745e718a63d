use super::*;
use crate::strategies::resource_set;
use proptest::prelude::*;

proptest! {
    #[test]
    fn nothing_is_lost_or_confused(set in resource_set()) {
        let encoded = EncodedSet::new(&set, Target::Weir);
        prop_assert_eq!(encoded.len(), set.len());
        for (kind, name, version, resource) in set.iter() {
            let one = encoded.get(kind, name).unwrap();
            prop_assert_eq!(one.version, version);
            prop_assert_eq!(one.name(), name);
            prop_assert_eq!(&codec::decode(&one.any).unwrap(), &**resource);
            let mut references: Vec<_> = resource.references();
            references.sort_unstable();
            references.dedup();
            prop_assert!(one.references.iter().map(|(kind, name)| (*kind, name.as_str())).eq(references));
        }
    }
}

fn sets() -> (ResourceSet, ResourceSet) {
    let mut first = ResourceSet::default();
    first.insert(crate::session::testing::cluster("a", 0));
    let mut second = first.clone();
    second.insert(crate::session::testing::cluster("b", 0));
    (first, second)
}

#[test]
fn what_two_sets_have_in_common_is_encoded_once() {
    let (first, second) = sets();
    let mut encoder = Encoder::default();
    let (first, second) = (encoder.encode(&first, Target::Weir), encoder.encode(&second, Target::Weir));
    let one = |set: &EncodedSet| set.get(ResourceType::Cluster, "a").unwrap().clone();
    assert!(Arc::ptr_eq(&one(&first), &one(&second)));
    assert_eq!(encoder.len(), 2);
}

#[test]
fn targets_are_kept_apart() {
    let (first, _) = sets();
    let mut encoder = Encoder::default();
    let weir = encoder.encode(&first, Target::Weir);
    let envoy = encoder.encode(&first, Target::Envoy);
    let one = |set: &EncodedSet| set.get(ResourceType::Cluster, "a").unwrap().clone();
    assert!(!Arc::ptr_eq(&one(&weir), &one(&envoy)));
}

#[test]
fn what_nobody_uses_is_forgotten() {
    let mut encoder = Encoder::default();
    for generation in 0..10_000 {
        let mut set = ResourceSet::default();
        set.insert(crate::session::testing::cluster("a", generation));
        encoder.encode(&set, Target::Weir);
    }
    assert!(encoder.len() <= 2 * PRUNE_FROM, "{}", encoder.len());
}

/// A version is a hash: two resources may share it.
#[test]
fn a_collision_delivers_the_right_resource() {
    let resources = ["a", "b"].map(|name| Arc::new(crate::session::testing::cluster(name, 0)));
    let mut encoder = Encoder::default();
    let sets = resources.clone().map(|resource| {
        let mut set = ResourceSet::default();
        set.insert_versioned(Version(1), resource);
        encoder.encode(&set, Target::Weir)
    });
    for (set, name) in sets.iter().zip(["a", "b"]) {
        assert_eq!(set.get(ResourceType::Cluster, name).unwrap().name(), name);
    }
}
