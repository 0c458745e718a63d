use super::*;

fn check(line: &str) -> Result<Options, Vec<String>> {
    let words = std::iter::once("weir-sidecar").chain(line.split_whitespace());
    Arguments::try_parse_from(words).unwrap().check(4)
}

fn mistakes(line: &str) -> Vec<String> {
    check(line).unwrap_err()
}

#[test]
fn a_full_line() {
    let options = check(
        "--xds http://a:1,http://b:2 --node-id n --service shop/reviews --service-account books --label version=v1,app=reviews --locality eu/eu-1/a \
         --inbound http=10.0.0.7:9080=8080 --inbound :9090=127.0.0.1:9091 --advertise 10.0.0.7 --outbound 15001 \
         --outbound-tcp :5432=postgres.data:5432 --outbound-tls 15443 --outbound-tls :15444=8443 --upstream shop/ratings --upstream details --admin-listen [::1]:0 \
         --otlp http://127.0.0.1:4317 --trace-sampling 0.25 --access-log --workers 2 --state-dir /var/lib/weir \
         --drain-pause 1s500ms --drain-deadline 1m --handover /run/weir/sidecar.sock --handover-timeout 20s",
    )
    .unwrap();
    assert_eq!(options.control_planes.uris(), ["http://a:1", "http://b:2"]);
    assert_eq!(options.service, Some(("shop".into(), "reviews".into())));
    assert_eq!(options.service_account.as_deref(), Some("books"));
    assert_eq!(
        options.labels,
        BTreeMap::from([("app".into(), "reviews".into()), ("version".into(), "v1".into())])
    );
    assert_eq!(options.locality.to_string(), "eu/eu-1/a");
    let inbound = |name: &str, listen: &str, app: &str| InboundOption {
        name: name.into(),
        listen: listen.parse().unwrap(),
        advertised: "10.0.0.7".parse().unwrap(),
        app: app.parse().unwrap(),
    };
    let expected =
        [inbound("http", "10.0.0.7:9080", "127.0.0.1:8080"), inbound("", "0.0.0.0:9090", "127.0.0.1:9091")];
    assert_eq!(options.inbound, expected);
    assert_eq!(options.outbound, Some("127.0.0.1:15001".parse().unwrap()));
    let tls = [("127.0.0.1:15443".parse().unwrap(), 443), ("127.0.0.1:15444".parse().unwrap(), 8443)];
    assert_eq!(options.outbound_tls, tls);
    assert_eq!(options.outbound_tcp, [("127.0.0.1:5432".parse().unwrap(), "postgres.data:5432".to_owned())]);
    assert_eq!(options.upstreams, BTreeSet::from(["shop/ratings".to_owned(), "default/details".to_owned()]));
    assert_eq!(options.admin, "[::1]:0".parse().unwrap());
    assert_eq!(options.sampling, Some(Fraction(250_000)));
    assert_eq!((options.workers, options.access_log), (2, true));
    assert_eq!(options.drain_pause, Duration::from_millis(1500));
    assert_eq!(options.drain_deadline, Duration::from_secs(60));
    assert_eq!(options.handover, Some("/run/weir/sidecar.sock".into()));
    assert_eq!(options.handover_timeout, Duration::from_secs(20));
}

#[test]
fn defaults() {
    let options = check("--xds http://a:1 --service reviews --outbound 127.0.0.1:0").unwrap();
    assert_eq!(options.service, Some(("default".into(), "reviews".into())));
    assert_eq!(options.labels, BTreeMap::from([("app".into(), "reviews".into())]));
    assert_eq!(options.workers, 4);
    assert_eq!(options.sampling, None);
    assert_eq!(options.admin, "127.0.0.1:15000".parse().unwrap());
    assert_eq!(options.drain_deadline, Duration::from_secs(30));
    let traced = check("--xds http://a:1 --outbound :0 --otlp http://c:4317").unwrap();
    assert_eq!(traced.sampling, Some(Fraction(1_000_000)));
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let found = mistakes(
        "--xds nowhere --node-id ä --service Shop/x/y --service-account A --label novalue --locality a/b/c/d --inbound 9080=0 --inbound x \
         --advertise 0.0.0.0 --outbound nohost:80 --outbound-tcp :1=pg --upstream X --admin-listen 99999 --otlp c:4317 \
         --trace-sampling 2 --workers 0 --drain-pause 5 --drain-deadline 1d --handover /run/ --handover-timeout soon",
    );
    let flags: BTreeSet<&str> = found.iter().filter_map(|mistake| mistake.split([' ', ':']).next()).collect();
    assert_eq!(flags.len(), 19, "{found:#?}");
    assert_eq!(found.iter().filter(|mistake| mistake.starts_with("--inbound")).count(), 2, "{found:#?}");
}

#[test]
fn mistakes_say_what_to_do() {
    for (line, what) in [
        ("--inbound 9080=8080 --service a", "--advertise IP"),
        ("--inbound 127.0.0.1:9080=8080", "--service NAMESPACE/NAME"),
        ("--inbound 127.0.0.1:80=127.0.0.1:80 --service a", "leads to itself"),
        ("--inbound Http=127.0.0.1:80=81 --service a", "not a port's name"),
        ("--service a", "--outbound, --outbound-tcp or --outbound-tls is needed"),
        ("--outbound :80 --admin-listen :80", "listened on already (--outbound)"),
        ("--outbound :80 --label a=1 --label a=2", "two values"),
        ("--outbound :80 --label /a=1", "not a domain"),
        ("--outbound :80 --label a=-", "not a label's value"),
        ("--outbound :80 --outbound-tcp :81=Pg.x:1", "not a service's name"),
        ("--outbound :80 --outbound-tcp :81=pg:0", "not a port"),
        ("--outbound-tls :81=0", "not a port"),
        ("--outbound :80 --otlp ftp://a:1", "http://127.0.0.1:4317"),
        ("--outbound :80 --otlp http://a:1/v1/traces", "more or less than an address"),
        ("--outbound :80 --drain-deadline 123456s", "30s"),
        ("--outbound example.com:80", "not an IP address"),
    ] {
        let found = mistakes(&format!("--xds http://a:1 {line}"));
        assert!(found.len() == 1 && found[0].contains(what), "{line}: {found:#?}");
    }
}

#[test]
fn a_control_plane_is_needed_and_its_lack_hides_no_other_mistake() {
    let found = mistakes("--workers none");
    assert!(found.iter().any(|mistake| mistake.starts_with("--xds: is needed")), "{found:#?}");
    assert!(found.iter().any(|mistake| mistake.starts_with("--workers none")), "{found:#?}");
}

#[test]
fn what_is_empty_is_not_given() {
    let words = [
        "weir-sidecar",
        "--xds=http://a:1",
        "--outbound=:0",
        "--label=",
        "--inbound=",
        "--otlp=",
        "--state-dir=",
        "--node-id=",
    ];
    let options = Arguments::try_parse_from(words).unwrap().check(1).unwrap();
    assert_eq!((options.labels.len(), options.inbound.len()), (0, 0));
    assert_eq!((options.otlp, options.state_dir, options.node_id), (None, None, None));
}

#[test]
fn port_zero_may_be_given_several_times() {
    check("--xds http://a:1 --service a --outbound :0 --admin-listen :0 --inbound 127.0.0.1:0=1 --inbound 127.0.0.1:0=2").unwrap();
}

#[test]
fn every_flag_has_its_variable() {
    use clap::CommandFactory;
    let command = Arguments::command();
    for argument in
        command.get_arguments().filter(|argument| !["help", "version"].contains(&argument.get_id().as_str()))
    {
        let flag = argument.get_long().unwrap();
        let variable = format!("WEIR_{}", flag.replace('-', "_").to_uppercase());
        assert_eq!(argument.get_env().and_then(|name| name.to_str()), Some(variable.as_str()), "--{flag}");
    }
    command.debug_assert();
}

#[test]
fn access_logs() {
    use weir_model::access_log::LogFormat;
    let log = |flags: &str| {
        let options = check(&format!("--xds http://a:1 --outbound :0 {flags}")).unwrap();
        (options.access_log, options.log_format)
    };
    assert_eq!(log(""), (false, LogFormat::envoy_default()));
    assert_eq!(log("--access-log"), (true, LogFormat::Default));
    assert_eq!(log("--access-log json"), (true, LogFormat::Default));
    assert_eq!(log("--access-log text"), (true, LogFormat::envoy_default()));
    assert!(!log("--access-log=false").0);
    let (on, format) = log("--access-log-format %RESPONSE_CODE%");
    assert!(on && matches!(format, LogFormat::Text { .. }));
    let (on, format) = log(r#"--access-log --access-log-format {"a":"%DURATION%"}"#);
    assert!(on && matches!(format, LogFormat::Json { .. }));
    let mistakes =
        |flags: &str| check(&format!("--xds http://a:1 --outbound :0 {flags}")).unwrap_err().join("\n");
    assert!(
        mistakes("--access-log xml").contains("--access-log xml: is no kind of lines; write json or text")
    );
    assert!(mistakes("--access-log-format %NOPE%").contains("the operator NOPE is not supported; known are"));
    assert!(mistakes("--access-log json --access-log-format %DURATION%").contains("write a JSON object"));
}

#[test]
fn whom_to_trust_means_tls() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    let pin = format!("sha256:{}", "a".repeat(64));
    let line = |rest: &str| check(&format!("--xds weir:1 --outbound :0 --trust-pin {pin} {rest}"));
    let options = line(&format!("--join-token-file {} --state-dir /s", token.display())).unwrap();
    assert_eq!(options.control_planes.uris(), ["https://weir:1"]);
    let identity = options.identity.unwrap();
    assert_eq!(identity.state_dir.as_deref(), Some(std::path::Path::new("/s")));
    assert!(line("").unwrap_err().join("\n").contains("--join-token-file"), "nothing to prove itself with");
    assert!(line("--join-token-file a --service-account-token-file b").is_err());
    assert!(check("--xds weir:1 --outbound :0 --trust-pin sha256:1").is_err());
    assert!(check("--xds weir:1 --outbound :0").unwrap_err().join("\n").contains("--trust-pin"));
    assert!(
        check("--xds weir:1 --outbound :0 --join-token-file a")
            .unwrap_err()
            .join("\n")
            .contains("--trust-pin")
    );
    let missing = check("--xds weir:1 --outbound :0 --trust-bundle /nowhere --join-token-file a")
        .unwrap_err()
        .join("\n");
    assert!(missing.contains("--trust-bundle") && missing.contains("is not there"), "{missing}");
}
