use super::*;
use weir_model::VirtualHost;

fn configuration(domains: &[&[&str]]) -> RouteConfiguration {
    let hosts = domains.iter().enumerate().map(|(index, domains)| VirtualHost {
        name: index.to_string(),
        domains: domains.iter().map(|domain| (*domain).to_owned()).collect(),
        routes: vec![],
        filters: None,
        options: None,
    });
    RouteConfiguration { name: String::new(), virtual_hosts: hosts.collect(), options: None }
}

#[test]
fn exact_before_wildcard_and_longest_first() {
    let names = Names::compile(&configuration(&[
        &["*"],
        &["reviews", "Reviews.Default"],
        &["reviews:9080"],
        &["*.example.com"],
        &["*.shop.example.com", "*.example.com:8443"],
        &["www.example.com"],
    ]))
    .unwrap();
    let table = [
        ("reviews", 1),
        ("REVIEWS", 1),
        ("reviews.", 1),
        ("reviews:80", 0),
        ("reviews:9080", 2),
        ("reviews.default:1", 0),
        ("example.com", 0),
        (".example.com", 0),
        ("a.example.com", 3),
        ("a.b.example.com", 3),
        ("a.example.com:80", 0),
        ("a.example.com:8443", 4),
        ("a.shop.example.com", 4),
        ("shop.example.com", 3),
        ("www.example.com", 5),
        ("www.example.com.", 5),
        ("www.example.com:443", 0),
        ("other", 0),
        ("", 0),
    ];
    for (authority, expected) in table {
        assert_eq!(names.find(authority), Some(expected), "{authority:?}");
    }
}

#[test]
fn without_a_domain_for_it_there_is_no_host() {
    let names = Names::compile(&configuration(&[&["a"], &["*.b"]])).unwrap();
    assert_eq!(names.find("c"), None);
    assert_eq!(names.find("b"), None);
    assert_eq!(Names::compile(&configuration(&[])).unwrap().find("a"), None);
}

#[test]
fn a_long_authority_is_looked_at_only_where_it_counts() {
    let names = Names::compile(&configuration(&[&["*.b"]])).unwrap();
    let long = "a.".repeat(30_000);
    assert_eq!(names.find(&(long.clone() + "b")), Some(0));
    assert_eq!(names.find(&(long + "c")), None);
}

#[test]
fn wildcards_may_begin_or_end_anywhere() {
    let names = Names::compile(&configuration(&[
        &["*.example.com"],
        &["*-eu.example.com"],
        &["shop.*"],
        &["shop-*"],
        &["*.com"],
        &["shop-eu.example.com"],
    ]))
    .unwrap();
    let table = [
        ("a.example.com", Some(0)),
        ("a-eu.example.com", Some(1)),
        ("-eu.example.com", Some(0)),
        ("shop-eu.example.com", Some(5)),
        ("shop.example.com", Some(0)),
        ("shop.example.org", Some(2)),
        ("shop.", None),
        ("SHOP-1", Some(3)),
        ("shop-", None),
        ("shop-a.com", Some(4)),
        ("other", None),
        ("", None),
        ("é-eu.example.com", Some(1)),
    ];
    for (authority, expected) in table {
        assert_eq!(names.find(authority), expected, "{authority:?}");
    }
}

#[test]
fn a_port_may_be_left_out() {
    let mut configuration = configuration(&[&["a"], &["*.b"], &["c:80"], &["*"]]);
    let options = weir_model::RoutesOptions { ignore_port: true, ..Default::default() };
    configuration.options = Some(Box::new(options));
    let names = Names::compile(&configuration).unwrap();
    let table = [("a:80", 0), ("A:", 0), ("x.b:1", 1), ("c:80", 3), ("c", 3), ("[::1]:80", 3), ("a", 0)];
    for (authority, expected) in table {
        assert_eq!(names.find(authority), Some(expected), "{authority:?}");
    }
}

#[test]
fn domains_are_well_formed_and_each_given_once() {
    for (domains, field, message) in [
        (
            &[&["a"][..], &["b", "a"]][..],
            "virtual_hosts[1].domains[1]",
            "already a domain of virtual_hosts[0]",
        ),
        (&[&["A", "a"]], "virtual_hosts[0].domains[1]", "already"),
        (&[&["*"], &["*"]], "virtual_hosts[1].domains[0]", "already"),
        (&[&["*.a", "*.a"]], "virtual_hosts[0].domains[1]", "already"),
        (&[&[""]], "virtual_hosts[0].domains[0]", "must be host"),
        (&[&["a.*.b"]], "virtual_hosts[0].domains[0]", "must be host"),
        (&[&["*a*"]], "virtual_hosts[0].domains[0]", "must be host"),
        (&[&["*a", "*A"]], "virtual_hosts[0].domains[1]", "already"),
        (&[&["a.*", "A.*"]], "virtual_hosts[0].domains[1]", "already"),
        (&[&["*."]], "virtual_hosts[0].domains[0]", "must be host"),
        (&[&["*.*.a"]], "virtual_hosts[0].domains[0]", "must be host"),
    ] {
        let error = Names::compile(&configuration(domains)).unwrap_err();
        assert_eq!(error.field, field);
        assert!(error.message.contains(message), "{error}");
    }
}
