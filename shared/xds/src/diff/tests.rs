use super::*;
use crate::strategies::resource_set;
use proptest::prelude::*;

proptest! {
    #[test]
    fn applying_the_difference_gives_the_other_set(a in resource_set(), b in resource_set(), common in resource_set()) {
        // Unrelated sets have little in common; what both have must survive.
        let with = |set: &ResourceSet| {
            let mut set = set.clone();
            common.iter().for_each(|(_, _, version, resource)| set.insert_versioned(version, resource.clone()));
            set
        };
        let (a, b) = (with(&a), with(&b));
        let changes = diff(&a, &b);
        prop_assert_eq!(apply(&a, &changes), b.clone());
        prop_assert_eq!(changes.is_empty(), a == b);
        let back = diff(&b, &a);
        prop_assert_eq!(apply(&b, &back), a);
        for change in &changes.0 {
            let version = |side: &Option<(Version, Arc<Resource>)>| side.as_ref().map(|(version, _)| *version);
            prop_assert!(version(&change.before) != version(&change.after));
        }
    }

    #[test]
    fn nothing_changes_between_equal_sets(a in resource_set()) {
        prop_assert!(diff(&a, &a.clone()).is_empty());
    }

    #[test]
    fn everything_can_go(a in resource_set()) {
        let nothing = ResourceSet::default();
        prop_assert_eq!(apply(&a, &diff(&a, &nothing)), nothing);
    }
}
