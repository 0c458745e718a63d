use super::*;
use weir_model::VirtualHost;

fn configuration(domains: &[&[&str]]) -> RouteConfiguration {
    let hosts = domains.iter().enumerate().map(|(index, domains)| VirtualHost {
        name: index.to_string(),
        domains: domains.iter().map(|domain| (*domain).to_owned()).collect(),
        routes: vec![],
        filters: None,
    });
    RouteConfiguration { name: String::new(), virtual_hosts: hosts.collect() }
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
        (&[&["a.*"]], "virtual_hosts[0].domains[0]", "must be host"),
        (&[&["*a"]], "virtual_hosts[0].domains[0]", "must be host"),
        (&[&["*."]], "virtual_hosts[0].domains[0]", "must be host"),
        (&[&["*.*.a"]], "virtual_hosts[0].domains[0]", "must be host"),
    ] {
        let error = Names::compile(&configuration(domains)).unwrap_err();
        assert_eq!(error.field, field);
        assert!(error.message.contains(message), "{error}");
    }
}
