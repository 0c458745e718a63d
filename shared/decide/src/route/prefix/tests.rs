use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

proptest! {
    #[test]
    fn it_knows_all_prefixes_of_a_path(prefixes in prop::collection::btree_set("(/[abé]?){0,4}", 0..20), path in "(/[abé]?){0,6}|[ab]|") {
        // Trailing slashes are the caller's to remove.
        let prefixes: BTreeSet<String> = prefixes.iter().map(|text| text.strip_suffix('/').unwrap_or(text).to_owned()).collect();
        let tree = Prefixes::build(prefixes.iter().map(|text| (text.clone(), text.clone())));
        let found: Vec<&String> = tree.of(&path).collect();
        let has = |text: &str| text.is_empty() || path == text || path.starts_with(&format!("{text}/"));
        let mut expected: Vec<&String> = prefixes.iter().filter(|text| has(text)).collect();
        expected.sort_by_key(|text| std::cmp::Reverse(text.len()));
        prop_assert_eq!(found, expected);
    }
}
