use super::*;
use proptest::prelude::*;

fn found<'a>(regexes: &Regexes<&'a str>, path: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    regexes.search(path, |_| true, |value| found.push(*value));
    found.sort_unstable();
    found
}

#[test]
fn what_is_not_wanted_is_not_run() {
    let expressions = ["/a.*", "/b.*"].map(|text| (Expression::parse(text).unwrap(), text));
    let regexes = Regexes::compile(expressions.into(), &mut Library::default()).unwrap();
    let mut found = Vec::new();
    regexes.search("/a/x", |value| *value == "/b.*", |value| found.push(*value));
    assert!(found.is_empty());
    regexes.search("/a/x", |value| *value == "/a.*", |value| found.push(*value));
    assert_eq!(found, ["/a.*"]);
}

#[test]
fn sets_that_grow_too_large_are_divided() {
    // Each alone is small; together their states multiply.
    let texts: Vec<String> = (0..12).map(|n| format!(".*{n:02}.*{n:02}.*")).collect();
    let expressions = texts.iter().map(|text| (Expression::parse(text).unwrap(), text.as_str())).collect();
    let regexes = Regexes::compile(expressions, &mut Library::default()).unwrap();
    assert!(regexes.groups.len() == 1 && regexes.groups.values().next().unwrap().len() > 1);
    assert_eq!(found(&regexes, "/03/11/03/11"), [".*03.*03.*", ".*11.*11.*"]);
}

proptest! {
    #[test]
    fn it_finds_every_expression_that_matches(texts in prop::collection::btree_set("/?[abé]{0,3}(\\[ab\\]|\\.\\*)?", 0..20), path in "/?[abé]{0,5}") {
        let expressions = texts.iter().map(|text| (Expression::parse(text).unwrap(), text.as_str())).collect();
        let regexes = Regexes::compile(expressions, &mut Library::default()).unwrap();
        let whole = |text: &str| regex::Regex::new(&format!("^(?:{text})$")).unwrap();
        let expected: Vec<&str> = texts.iter().map(String::as_str).filter(|text| whole(text).is_match(&path)).collect();
        prop_assert_eq!(found(&regexes, &path), expected);
    }
}
