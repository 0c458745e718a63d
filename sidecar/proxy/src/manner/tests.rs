use super::*;
use weir_model::{RequestIds, ServerName};

fn get(target: &str, fields: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::get(target);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

fn apply(manner: &Manner, forwarded: Forwarded, asked: &mut Request<()>) -> Result<(), Kind> {
    let local = "127.0.0.1:8080".parse().ok();
    request(asked, manner, forwarded, local, &mut Random::new(7))
}

const EDGE: Forwarded = Forwarded::Edge { trusted_hops: 0, append: true };

#[test]
fn ports_and_dots_of_authorities_go_as_they_are_to() {
    let table = [
        (HostPorts::StripOwn, false, "a.test:8080", "a.test"),
        (HostPorts::StripOwn, false, "a.test:8081", "a.test:8081"),
        (HostPorts::StripOwn, false, "[::1]:8080", "[::1]"),
        (HostPorts::StripAny, false, "a.test:8081", "a.test"),
        (HostPorts::StripAny, false, "a.test", "a.test"),
        (HostPorts::Keep, true, "a.test.", "a.test"),
        (HostPorts::Keep, true, "a.test.:80", "a.test:80"),
        (HostPorts::StripAny, true, "a.test.:80", "a.test"),
    ];
    for (ports, strip_dot, host, expected) in table {
        let manner = Manner { ports, strip_dot, ..Manner::default() };
        let mut asked = get("/x", &[("host", host)]);
        apply(&manner, Forwarded::Pass, &mut asked).unwrap();
        assert_eq!(asked.headers()[HOST], expected, "{ports:?} {strip_dot}");
        let mut asked = get(&format!("http://{host}/x?y"), &[]);
        apply(&manner, Forwarded::Pass, &mut asked).unwrap();
        assert_eq!(asked.uri().to_string(), format!("http://{expected}/x?y"), "{ports:?} {strip_dot}");
    }
}

#[test]
fn upgrades_are_those_that_are_listed() {
    let listed = |names: &[&str]| Manner {
        upgrades: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        ..Manner::default()
    };
    let asked =
        |connection, upgrade| get("/", &[("host", "a"), ("connection", connection), ("upgrade", upgrade)]);
    let ask = |manner: &Manner, connection, upgrade| {
        apply(manner, Forwarded::Pass, &mut asked(connection, upgrade)).is_ok()
    };
    let websocket = listed(&["websocket"]);
    for (connection, upgrade, taken) in [
        ("upgrade", "websocket", true),
        ("keep-alive, Upgrade", "WebSocket", true),
        ("upgrade", "echo", false),
        ("keep-alive , UPGRADE", "echo", false),
        ("upgrade", "h2c", true),
        ("keep-alive", "echo", true),
    ] {
        assert_eq!(ask(&websocket, connection, upgrade), taken, "{connection} {upgrade}");
    }
    assert!(!ask(&listed(&[]), "upgrade", "websocket"), "none at all");
    assert!(ask(&Manner::default(), "upgrade", "echo"), "any");
    let refused = apply(&websocket, Forwarded::Pass, &mut asked("upgrade", "echo"));
    assert!(matches!(refused, Err(Kind::NoTunnel)));
}

#[test]
fn underscores_pass_go_or_are_refused() {
    let asked = || get("/", &[("host", "a"), ("x_a", "1"), ("x-b", "2")]);
    let with = |underscores| Manner { underscores, ..Manner::default() };
    let mut passed = asked();
    apply(&with(Underscores::Allow), Forwarded::Pass, &mut passed).unwrap();
    assert_eq!(passed.headers().len(), 3);
    let mut dropped = asked();
    apply(&with(Underscores::Drop), Forwarded::Pass, &mut dropped).unwrap();
    assert!(!dropped.headers().contains_key("x_a") && dropped.headers().contains_key("x-b"));
    let refused = apply(&with(Underscores::Reject), Forwarded::Pass, &mut asked());
    assert!(matches!(refused, Err(Kind::Malformed(_))));
    assert!(apply(&with(Underscores::Reject), Forwarded::Pass, &mut get("/", &[("x-b", "2")])).is_ok());
}

#[test]
fn request_ids_are_uuids_and_kept_where_they_are_believed() {
    let ids =
        |keep| Manner { request_id: RequestIds { generate: true, keep, tell: true }, ..Manner::default() };
    let id = |manner: &Manner, forwarded, fields: &[(&str, &str)]| {
        let mut asked = get("/", fields);
        apply(manner, forwarded, &mut asked).unwrap();
        asked.headers()[REQUEST_ID].to_str().unwrap().to_owned()
    };
    let new = id(&ids(false), Forwarded::Pass, &[]);
    let parts: Vec<usize> = new.split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12], "{new}");
    assert!(new.as_bytes()[14] == b'4' && b"89ab".contains(&new.as_bytes()[19]), "{new}");
    assert_eq!(id(&ids(false), Forwarded::Pass, &[("x-request-id", "mine")]), "mine");
    assert_ne!(id(&ids(false), EDGE, &[("x-request-id", "mine")]), "mine");
    assert_eq!(id(&ids(true), EDGE, &[("x-request-id", "mine")]), "mine");
    let told = request_id(get("/", &[("x-request-id", "mine")]).headers(), &ids(false));
    assert_eq!(told.unwrap(), "mine");
}

#[test]
fn names_of_proxies_are_added_and_those_of_servers_set() {
    let via = Some(HeaderValue::from_static("1.1 here"));
    let server = |overwrite| Some(ServerName { name: HeaderValue::from_static("edge"), overwrite });
    let mut asked = get("/", &[("via", "1.0 one"), ("via", "1.1 two")]);
    apply(&Manner { via: via.clone(), ..Manner::default() }, Forwarded::Pass, &mut asked).unwrap();
    let all: Vec<_> = asked.headers().get_all(VIA).iter().collect();
    assert_eq!(all, ["1.0 one, 1.1 two, 1.1 here"]);
    for (overwrite, there, expected) in
        [(true, true, "edge"), (false, true, "theirs"), (true, false, "edge"), (false, false, "edge")]
    {
        let mut headers = HeaderMap::new();
        if there {
            headers.insert(SERVER, HeaderValue::from_static("theirs"));
        }
        let manner = Manner { server: server(overwrite), via: via.clone(), ..Manner::default() };
        response(&mut headers, &manner, Some(HeaderValue::from_static("id")));
        assert_eq!(headers[SERVER], expected);
        assert_eq!(
            (&headers[VIA], &headers[REQUEST_ID]),
            (&"1.1 here".parse().unwrap(), &"id".parse().unwrap())
        );
    }
}

#[test]
fn large_heads_are_refused() {
    let asked = get("/twelve-bytes", &[("host", "a.test"), ("x-a", "0123456789")]);
    let limited = |head_bytes, head_fields| HttpLimits { head_bytes, head_fields, ..HttpLimits::default() };
    assert_eq!(admit(&asked, &limited(None, None)), Ok(()));
    // The target has 13 bytes, the fields 10 and 13.
    assert_eq!(admit(&asked, &limited(Some(36), None)), Ok(()));
    assert_eq!(admit(&asked, &limited(Some(35), None)), Err(Kind::HeadTooLarge));
    assert_eq!(admit(&asked, &limited(None, Some(2))), Ok(()));
    assert_eq!(admit(&asked, &limited(None, Some(1))), Err(Kind::TooManyFields));
}

#[test]
fn only_http_1_0_is_given_a_host() {
    let manner = Manner { default_host: Some(HeaderValue::from_static("old.test")), ..Manner::default() };
    let given = |version, fields: &[(&str, &str)]| {
        let mut asked = get("/", fields);
        *asked.version_mut() = version;
        host(&mut asked, &manner);
        asked.headers().get(HOST).map(|host| host.to_str().unwrap().to_owned())
    };
    assert_eq!(given(Version::HTTP_10, &[]).as_deref(), Some("old.test"));
    assert_eq!(given(Version::HTTP_10, &[("host", "new.test")]).as_deref(), Some("new.test"));
    assert_eq!(given(Version::HTTP_11, &[]), None);
}
