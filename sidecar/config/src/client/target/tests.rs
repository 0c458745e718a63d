use super::*;

#[test]
fn addresses_with_and_without_scheme() {
    let planes: ControlPlanes = "127.0.0.1:15010, http://weir.mesh:80/,[::1]:1".parse().unwrap();
    assert_eq!(planes.uris(), ["http://127.0.0.1:15010", "http://weir.mesh:80", "http://[::1]:1"]);
    assert_eq!(planes.to_string().parse(), Ok(planes));
}

#[test]
fn an_address_alone_is_never_plain_text_to_another_machine() {
    let parse = |text, tls| ControlPlanes::parse(text, tls).map(|planes| planes.to_string());
    assert_eq!(parse("weir:1,127.0.0.1:2", true).unwrap(), "https://weir:1,https://127.0.0.1:2");
    assert_eq!(parse("http://weir:1,https://other:1", true).unwrap(), "http://weir:1,https://other:1");
    for local in ["127.0.0.1:2", "localhost:2", "[::1]:2", "127.9.9.9:1"] {
        assert_eq!(parse(local, false).unwrap(), format!("http://{local}"));
    }
    assert_eq!(parse("http://weir:1", false).unwrap(), "http://weir:1");
    for other in ["weir:1", "10.0.0.1:1", "localhost.example.org:1", "[fe80::1]:1"] {
        let error = parse(other, false).unwrap_err();
        assert!(error.contains("--trust-pin") && error.contains(&format!("http://{other}")), "{error}");
    }
    assert!(parse("https://weir:1", false).unwrap_err().contains("--trust-bundle"));
    assert!(ControlPlanes::parse("https://weir:1", true).unwrap().any_tls());
}

#[test]
fn mistakes_name_the_address_and_the_mend() {
    for (text, what) in [
        ("", "is empty"),
        ("a:1,", "is empty"),
        ("weir", "has no port"),
        ("weir:http", "has no valid port"),
        ("weir:70000", "has no valid port"),
        ("weir:0", "port 0"),
        (":15010", "has no host"),
        ("::1:15010", "brackets"),
        ("ftp://weir:1", "scheme"),
        ("weir:1/path", "more than an address"),
    ] {
        let error = text.parse::<ControlPlanes>().unwrap_err();
        assert!(error.contains(what) && error.contains("HOST:PORT"), "{text}: {error}");
    }
}
