use super::*;

#[test]
fn addresses_with_and_without_scheme() {
    let planes: ControlPlanes = "127.0.0.1:15010, http://weir.mesh:80/,[::1]:1".parse().unwrap();
    assert_eq!(planes.uris(), ["http://127.0.0.1:15010", "http://weir.mesh:80", "http://[::1]:1"]);
    assert_eq!(planes.to_string().parse(), Ok(planes));
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
        ("https://weir:1", "TLS"),
        ("ftp://weir:1", "scheme"),
        ("weir:1/path", "more than an address"),
    ] {
        let error = text.parse::<ControlPlanes>().unwrap_err();
        assert!(error.contains(what) && error.contains("HOST:PORT"), "{text}: {error}");
    }
}
