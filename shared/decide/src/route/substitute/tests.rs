use super::*;

fn substitute(pattern: &str, replacement: &str) -> Result<Substitute, RouteError> {
    Substitute::compile(&Substitution { pattern: pattern.to_owned(), replacement: replacement.to_owned() })
}

#[test]
fn every_match_is_replaced() {
    let table = [
        ("/(a+)/.*", "/\\1", "/aa/bb", "/aa"),
        ("^/service/([^/]+)(/.*)$", "\\2/instance/\\1", "/service/foo/v1/api", "/v1/api/instance/foo"),
        ("one", "two", "/xxx/one/yyy/one/zzz", "/xxx/two/yyy/two/zzz"),
        ("^(.*?)one(.*)$", "\\1two\\2", "/xxx/one/yyy/one/zzz", "/xxx/two/yyy/one/zzz"),
        ("(?i)/xxx/", "/yyy/", "/aaa/XxX/bbb", "/aaa/yyy/bbb"),
        ("x*", "-", "abc", "-a-b-c-"),
        ("b*", "-", "abba", "-a-a-"),
        ("", "-", "é/", "-é-/-"),
        ("a|(b)", "[\\1]", "ab", "[][b]"),
        ("/v2$|^/v", "\\\\", "/v1/v2", "\\1\\"),
        ("$", "/end", "/a", "/a/end"),
        ("^/a", "", "/a/a", "/a"),
        ("(?P<all>.+)", "\\0\\1", "x", "xx"),
        ("absent", "x", "/as/it/was", "/as/it/was"),
    ];
    for (pattern, replacement, text, expected) in table {
        assert_eq!(
            substitute(pattern, replacement).unwrap().apply(text),
            expected,
            "{pattern} {replacement}"
        );
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let refused =
        |pattern: &str, replacement: &str| substitute(pattern, replacement).unwrap_err().to_string();
    assert!(refused("a(", "").starts_with("pattern.regex: is not a regular expression"));
    assert!(refused("(a)", "\\2").starts_with("substitution: \\2 is no group"));
    assert!(refused("(a)", "\\x").starts_with("substitution: a lone backslash"));
    assert!(refused("a", "\\").starts_with("substitution: a lone backslash"));
    assert!(refused("(\\pL{100}){100}", "").contains("needs more than"));
}

proptest::proptest! {
    /// As another engine has it, whose rules for empty matches are the same.
    #[test]
    fn another_engine_agrees(
        pattern in proptest::sample::select(vec!["a*", "a|b*", "(a|ab)(c|bcd)?", "/[^/]*", "^a?", "b$", "é?"]),
        text in "[abcdé/]{0,12}",
    ) {
        let ours = substitute(pattern, "<\\0>").unwrap();
        let theirs = regex::Regex::new(pattern).unwrap();
        proptest::prop_assert_eq!(ours.apply(&text), theirs.replace_all(&text, "<$0>"));
    }
}
