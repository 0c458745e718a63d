use super::*;
use proptest::prelude::*;

fn changed(path: &str) -> Outcome {
    Outcome::Changed(path.to_owned())
}

#[test]
fn dots_and_backslashes_are_resolved() {
    for (path, expected) in [
        ("/a/b/../c", "/a/c"),
        ("/a/b/./c", "/a/b/c"),
        ("/a/b/../../../../c", "/c"),
        ("/a/..\\c", "/c"),
        ("/a\\b", "/a/b"),
        ("/a/b/%2E%2e/c", "/a/c"),
        ("/a/b/%2E./c", "/a/c"),
        ("/a/b/.%2e", "/a/"),
        ("/a/b/..", "/a/"),
        ("/a/b/.", "/a/b/"),
        ("/..", "/"),
        ("/.", "/"),
        ("/a//../b", "/a/b"),
        ("/a%2Eb", "/a.b"),
        ("/%61dmin/%7Ea%2Db", "/admin/~a-b"),
        ("/%41%5a%30%39%5f", "/AZ09_"),
        ("/%2%65%2%65/a", "/%2%65%2%65/a"),
        ("/%%36%31", "/%%361"),
        ("/a%2561", "/a%2561"),
        ("/a/...", "/a/..."),
        ("/a/.b", "/a/.b"),
        ("/a/..b/c", "/a/..b/c"),
        ("/a//b", "/a//b"),
        ("/a/%2F%5c/b", "/a/%2F%5c/b"),
        ("/a/%c0%af", "/a/%c0%af"),
        ("/a%", "/a%"),
        ("/a%2", "/a%2"),
        ("/%zz", "/%zz"),
        ("/", "/"),
        ("*", "*"),
    ] {
        let expected = if path == expected { Outcome::Same } else { changed(expected) };
        assert_eq!(normalize(path, &Paths::BASE), expected, "{path}");
    }
    assert!(matches!(normalize("/a%00b", &Paths::BASE), Outcome::Refused(_)));
}

#[test]
fn slashes_are_merged_where_that_is_asked_for() {
    let rules = Paths { merge_slashes: true, ..Paths::NONE };
    for (path, expected) in [("//a/b", "/a/b"), ("/a///b//", "/a/b/"), ("//", "/"), ("/a//../b", "/a/../b")] {
        assert_eq!(normalize(path, &rules), changed(expected), "{path}");
    }
    let both = Paths { normalize: true, ..rules };
    assert_eq!(normalize("/a//../b", &both), changed("/a/b"));
    assert_eq!(normalize("/a//b", &both), changed("/a/b"));
}

#[test]
fn escaped_slashes_are_treated_as_asked_for() {
    let rules = |escaped_slashes| Paths { escaped_slashes, ..Paths::BASE };
    let path = "/a%2f..%5Cb%2Fc";
    assert_eq!(normalize(path, &rules(EscapedSlashes::Keep)), Outcome::Same);
    assert!(matches!(normalize(path, &rules(EscapedSlashes::Reject)), Outcome::Refused(_)));
    assert_eq!(normalize(path, &rules(EscapedSlashes::Forward)), changed("/b/c"));
    assert_eq!(normalize(path, &rules(EscapedSlashes::Redirect)), Outcome::Redirect("/b/c".to_owned()));
    // Without an escaped slash there is nothing to redirect.
    assert_eq!(normalize("/a/../b", &rules(EscapedSlashes::Redirect)), changed("/b"));
    let alone = Paths { escaped_slashes: EscapedSlashes::Forward, ..Paths::NONE };
    assert_eq!(normalize("/a%2Fb%5cc%", &alone), changed("/a/b\\c%"));
}

#[test]
fn without_rules_a_path_stays() {
    for path in ["/a/../b", "/a//b", "/a%2fb\\c%00"] {
        assert_eq!(normalize(path, &Paths::NONE), Outcome::Same);
    }
}

proptest! {
    #[test]
    fn what_is_normal_has_no_dots_left_and_stays(path in "/[a./\\\\%2eEfF]{0,16}", merge in any::<bool>()) {
        let rules = Paths { merge_slashes: merge, ..Paths::BASE };
        let normal = match normalize(&path, &rules) {
            Outcome::Changed(path) => path,
            _ => path,
        };
        prop_assert!(normal.starts_with('/'));
        prop_assert!(!normal.split('/').any(|segment| matches!(segment, "." | "..")), "{normal}");
        prop_assert!(!normal.contains('\\'));
        prop_assert!(!(merge && normal.contains("//")));
    }

    #[test]
    fn any_text_is_taken(path in any::<String>(), bits in 0..16u8) {
        let escaped_slashes = match bits & 3 {
            0 => EscapedSlashes::Keep,
            1 => EscapedSlashes::Reject,
            2 => EscapedSlashes::Redirect,
            _ => EscapedSlashes::Forward,
        };
        normalize(&path, &Paths { normalize: bits & 4 > 0, merge_slashes: bits & 8 > 0, escaped_slashes });
    }
}
