use super::*;
use proptest::prelude::*;

fn prefix(replacement: &str) -> PathRewrite {
    PathRewrite::Prefix(replacement.to_owned())
}

/// The table of Gateway API's `HTTPPathModifier.replacePrefixMatch`.
#[test]
fn a_prefix_is_replaced_as_the_gateway_api_has_it() {
    let table = [
        ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
        ("/foo/bar", "/foo/", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo/", "/xyz/", "/xyz/bar"),
        ("/foo", "/foo", "/xyz", "/xyz"),
        ("/foo/", "/foo", "/xyz", "/xyz/"),
        ("/foo/bar", "/foo", "", "/bar"),
        ("/foo/", "/foo", "", "/"),
        ("/foo", "/foo", "", "/"),
        ("/foo/", "/foo", "/", "/"),
        ("/foo", "/foo", "/", "/"),
        // Beyond the table.
        ("/foo", "/", "/xyz", "/xyz/foo"),
        ("/", "/", "/xyz", "/xyz/"),
        ("/foo/bar", "/foo/bar", "/a/b/c", "/a/b/c"),
        ("/foo//bar", "/foo", "/xyz", "/xyz//bar"),
    ];
    for (path, matched, replacement, expected) in table {
        let rewrite = prefix(replacement);
        assert_eq!(super::path(&rewrite, path, Some(matched)), expected, "{path} {matched} {replacement:?}");
    }
}

#[test]
fn a_path_that_does_not_have_the_prefix_stays() {
    assert_eq!(path(&prefix("/xyz"), "/foo/bar", None), "/foo/bar");
    assert_eq!(path(&prefix("/xyz"), "/foobar", Some("/foo")), "/foobar");
    assert_eq!(path(&prefix("/xyz"), "*", Some("/")), "*");
}

#[test]
fn a_full_path_replaces_all_but_the_query() {
    let full = PathRewrite::Full("/one".to_owned());
    assert_eq!(target(&full, "/foo/bar", Some("a=1&b"), Some("/foo")), "/one?a=1&b");
    assert_eq!(target(&full, "/foo/bar", Some(""), None), "/one?");
    assert_eq!(target(&full, "/foo/bar", None, None), "/one");
    assert_eq!(path(&PathRewrite::Full(String::new()), "/foo", None), "/");
    assert_eq!(target(&prefix("/xyz"), "/foo/bar", Some("q"), Some("/foo")), "/xyz/bar?q");
}

proptest! {
    #[test]
    fn the_rest_of_the_path_is_kept(matched in "(/[a-z]{1,3}){0,3}/?", rest in "(/[a-z]{0,3}){0,3}", replacement in "(/[a-z]{1,3}){0,3}/?") {
        let bare = matched.strip_suffix('/').unwrap_or(&matched);
        let path = format!("{bare}{rest}");
        prop_assume!(path.starts_with('/'));
        let rewrite = prefix(&replacement);
        let rewritten = super::path(&rewrite, &path, Some(&matched)).into_owned();
        prop_assert!(rewritten.starts_with('/') && rewritten.ends_with(&rest));
        prop_assert!(!rewritten.contains("//") || rest.contains("//"));
    }
}

#[test]
fn characters_are_replaced_whatever_comes_of_it() {
    let rewrite = |replacement: &str| PathRewrite::Characters(replacement.to_owned());
    for (path, matched, replacement, expected) in [
        ("/api/users", "/api/", "/", "/users"),
        ("/api/users", "/api", "/", "//users"),
        ("/apiary", "/api", "/v2", "/v2ary"),
        ("/api", "/api", "/v2/", "/v2/"),
        ("/users", "/", "/v2", "/v2users"),
        ("/other", "/api", "/v2", "/other"),
    ] {
        assert_eq!(
            super::path(&rewrite(replacement), path, Some(matched)),
            expected,
            "{path} {matched} {replacement}"
        );
    }
    assert_eq!(path(&rewrite("/v2"), "/api", None), "/api");
}
