use super::*;
use proptest::prelude::*;

#[test]
fn names_are_lower_case_and_without_their_final_dot() {
    let table = [
        ("reviews", "reviews"),
        ("Reviews.Default:9080", "reviews.default:9080"),
        ("reviews.default.svc.cluster.local.", "reviews.default.svc.cluster.local"),
        ("Reviews.Default.:9080", "reviews.default:9080"),
        ("reviews.:9080", "reviews:9080"),
        ("[2001:DB8::1]:80", "[2001:db8::1]:80"),
        ("2001:DB8::1", "2001:db8::1"),
        ("10.0.0.1:80", "10.0.0.1:80"),
        (".", "."),
        ("", ""),
        (":80", ":80"),
    ];
    for (authority, expected) in table {
        assert_eq!(normalize(authority), expected, "{authority:?}");
    }
}

#[test]
fn what_is_normal_is_borrowed() {
    for authority in ["reviews", "reviews:80", "reviews.default.", "[::1]:80"] {
        assert!(matches!(normalize(authority), Cow::Borrowed(_)), "{authority:?}");
    }
}

#[test]
fn hosts_and_ports_come_apart() {
    let table = [
        ("reviews", ("reviews", None)),
        ("reviews:80", ("reviews", Some(80))),
        ("reviews:", ("reviews", None)),
        ("reviews:http", ("reviews", None)),
        ("reviews:65536", ("reviews", None)),
        ("reviews:+80", ("reviews", None)),
        ("[::1]:80", ("[::1]", Some(80))),
        ("[::1]", ("[::1]", None)),
        ("::1", ("::1", None)),
        ("", ("", None)),
    ];
    for (authority, expected) in table {
        assert_eq!(split(authority), expected, "{authority:?}");
    }
}

#[test]
fn what_is_no_host_is_told() {
    for valid in [
        "reviews",
        "Reviews.Default.:9080",
        "a_b",
        "10.0.0.1:80",
        "[::1]",
        "[::1]:80",
        "[fe80::1%25eth0]",
        "a:",
        "xn--a!$&'()*+;=%20",
    ] {
        assert!(is_valid(valid), "{valid:?}");
    }
    for invalid in [
        "", ":80", "a b", "a,b", "a/b", "a\\b", "u@a", "u:p@a", "a?", "a#", "a:b", "a:80:90", "a:+80",
        "a:123456", "::1", "[::1", "::1]", "[a]", "[::1]80", "[::1]:x", "a\t", "\u{e9}", "a\u{0}", "<a>",
        "a[1]", "http://a",
    ] {
        assert!(!is_valid(invalid), "{invalid:?}");
    }
}

proptest! {
    #[test]
    fn normalizing_twice_changes_nothing(authority in "[a-zA-Z0-9.:\\[\\]-]{0,20}") {
        let once = normalize(&authority).into_owned();
        // Only one final dot is a fully qualified name's; more is not a name.
        if !authority.contains("..") {
            prop_assert_eq!(&*normalize(&once), &once);
        }
        prop_assert!(!once.bytes().any(|byte| byte.is_ascii_uppercase()));
    }

    #[test]
    fn any_text_has_a_host(authority in any::<String>()) {
        let (host, _) = split(&authority);
        prop_assert!(authority.starts_with(host));
        normalize(&authority);
        is_valid(&authority);
    }
}
