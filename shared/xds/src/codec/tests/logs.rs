//! Access logs of other control planes, and listeners that find out what is spoken.

use super::super::{access_log, http, listener, pb, wire};
use pb::core::substitution_format_string::Format;
use pb::{accesslog, core, file_log, google, listener as lds, stream_log};
use prost::Name;
use std::sync::Arc;
use std::time::Duration;
use weir_model::access_log::{AccessLog, JsonTemplate, LogFormat, LogOutput, Template};
use weir_model::node::Target;
use weir_model::{Detection, Direction, HttpListener, Listener, ListenerKind, RouteSource, TcpListener};

fn logger<M: prost::Message + Name>(config: &M) -> Vec<accesslog::AccessLog> {
    vec![accesslog::AccessLog {
        name: "any".to_owned(),
        config_type: Some(accesslog::access_log::ConfigType::TypedConfig(wire::pack(config))),
        ..Default::default()
    }]
}

fn stdout(format: Option<core::SubstitutionFormatString>) -> Vec<accesslog::AccessLog> {
    let access_log_format = format.map(stream_log::stdout_access_log::AccessLogFormat::LogFormat);
    logger(&stream_log::StdoutAccessLog { access_log_format })
}

fn format(format: Format) -> Option<core::SubstitutionFormatString> {
    Some(core::SubstitutionFormatString { format: Some(format), ..Default::default() })
}

fn inline(text: &str) -> Format {
    let specifier = Some(core::data_source::Specifier::InlineString(text.to_owned()));
    Format::TextFormatSource(core::DataSource { specifier, ..Default::default() })
}

fn text(text: &str) -> LogFormat {
    LogFormat::Text { template: Template::parse(text).unwrap(), omit_empty: false }
}

fn string(text: &str) -> google::Value {
    google::Value { kind: Some(google::value::Kind::StringValue(text.to_owned())) }
}

fn object(members: &[(&str, google::Value)]) -> google::Struct {
    google::Struct {
        fields: members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
    }
}

fn decoded(logs: &[accesslog::AccessLog]) -> AccessLog {
    let log = access_log::decode(logs).unwrap_or_else(|fault| panic!("{fault:?}"));
    Arc::unwrap_or_clone(log.expect("a log"))
}

fn refused(logs: &[accesslog::AccessLog]) -> (String, String) {
    let fault = access_log::decode(logs).expect_err("refused");
    (fault.path, fault.message)
}

#[test]
#[allow(deprecated, reason = "deprecated forms of a format are still in use")]
fn every_form_of_a_format() {
    assert_eq!(access_log::decode(&[]), Ok(None));
    assert_eq!(decoded(&stdout(None)), AccessLog::default());
    assert_eq!(decoded(&stdout(format(inline("%DURATION%\n")))).format, text("%DURATION%\n"));
    assert_eq!(decoded(&stdout(format(Format::TextFormat("%DURATION%".into())))).format, text("%DURATION%"));
    let members = object(&[
        ("b", string("%PROTOCOL%")),
        ("a", google::Value { kind: Some(google::value::Kind::StructValue(object(&[("c", string("x"))]))) }),
    ]);
    let inner =
        JsonTemplate::Object(vec![("c".to_owned(), JsonTemplate::Text(Template::parse("x").unwrap()))]);
    let protocol = JsonTemplate::Text(Template::parse("%PROTOCOL%").unwrap());
    let json = LogFormat::Json {
        members: vec![("a".to_owned(), inner), ("b".to_owned(), protocol)],
        omit_empty: false,
    };
    assert_eq!(decoded(&stdout(format(Format::JsonFormat(members.clone())))).format, json);
    let stderr = stream_log::StderrAccessLog {
        access_log_format: format(inline("x")).map(stream_log::stderr_access_log::AccessLogFormat::LogFormat),
    };
    assert_eq!(
        decoded(&logger(&stderr)),
        AccessLog { output: LogOutput::Stderr, format: text("x"), ..AccessLog::default() }
    );
    use file_log::file_access_log::AccessLogFormat as InFile;
    for (in_file, expected) in [
        (None, LogFormat::Default),
        (Some(InFile::Format("%DURATION%".to_owned())), text("%DURATION%")),
        (Some(InFile::JsonFormat(members.clone())), json.clone()),
        (Some(InFile::TypedJsonFormat(members)), json),
        (Some(InFile::LogFormat(format(inline("x")).unwrap())), text("x")),
    ] {
        let log = file_log::FileAccessLog { path: "/dev/stderr".to_owned(), access_log_format: in_file };
        assert_eq!(
            decoded(&logger(&log)),
            AccessLog { output: LogOutput::Stderr, format: expected, ..AccessLog::default() }
        );
    }
}

#[test]
fn what_cannot_be_done_is_refused_by_name() {
    let (path, message) = refused(&stdout(format(inline("ab %CEL(x)%"))));
    assert_eq!(path, "access_log[0].typed_config.log_format.text_format_source.inline_string");
    assert!(message.starts_with("the operator CEL is not supported; known are START_TIME REQ"), "{message}");
    let members = object(&[("a", string("%NOPE%"))]);
    let (path, _) = refused(&stdout(format(Format::JsonFormat(members))));
    assert_eq!(path, "access_log[0].typed_config.log_format.json_format.a");
    let elsewhere = file_log::FileAccessLog { path: "/var/log/x".to_owned(), ..Default::default() };
    let (path, message) = refused(&logger(&elsewhere));
    assert_eq!(path, "access_log[0].typed_config.path");
    assert!(message.contains("/var/log/x") && message.contains("/dev/stdout"), "{message}");
    let (path, message) = refused(&logger(&pb::router::Router::default()));
    assert_eq!(path, "access_log[0].typed_config.type_url");
    assert!(message.contains("envoy.extensions.filters.http.router.v3.Router"), "{message}");
    let file = core::data_source::Specifier::Filename("/etc/format".to_owned());
    let source = core::DataSource { specifier: Some(file), ..Default::default() };
    let (path, _) = refused(&stdout(format(Format::TextFormatSource(source))));
    assert_eq!(path, "access_log[0].typed_config.log_format.text_format_source");
    let (path, _) = refused(&stdout(Some(core::SubstitutionFormatString::default())));
    assert_eq!(path, "access_log[0].typed_config.log_format.format");
    let mut formatters = format(inline("x")).unwrap();
    formatters.formatters.push(Default::default());
    assert_eq!(refused(&stdout(Some(formatters))).0, "access_log[0].typed_config.log_format.formatters");
    let long = "x".repeat(weir_model::limits::LOG_FORMAT_BYTES);
    let members = object(&[("a", string(&long)), ("b", string("x"))]);
    let (_, message) = refused(&stdout(format(Format::JsonFormat(members))));
    assert_eq!(message, "longer than 8192 bytes");
    let mut filtered = stdout(None);
    filtered[0].filter = Some(Default::default());
    assert_eq!(refused(&filtered).0, "access_log[0].filter.filter_specifier");
    use pb::accesslog::access_log_filter::FilterSpecifier;
    let mut refused_filter = |specifier| {
        filtered[0].filter = Some(pb::accesslog::AccessLogFilter { filter_specifier: Some(specifier) });
        refused(&filtered).0
    };
    let table = [
        (FilterSpecifier::GrpcStatusFilter(Default::default()), "grpc_status_filter"),
        (FilterSpecifier::MetadataFilter(Default::default()), "metadata_filter"),
        (FilterSpecifier::LogTypeFilter(Default::default()), "log_type_filter"),
        (FilterSpecifier::StatusCodeFilter(Default::default()), "status_code_filter.comparison"),
        (FilterSpecifier::AndFilter(Default::default()), "and_filter.filters"),
        (FilterSpecifier::HeaderFilter(Default::default()), "header_filter.header"),
    ];
    for (specifier, field) in table {
        assert_eq!(refused_filter(specifier), format!("access_log[0].filter.{field}"));
    }
    let many = vec![stdout(None).remove(0); weir_model::limits::ACCESS_LOGS + 1];
    assert_eq!(refused(&many), ("access_log".to_owned(), "9 entries, at most 8 are taken".to_owned()));
}

#[test]
fn an_envoy_is_told_what_weirs_own_format_says() {
    let default = Arc::new(AccessLog::default());
    let logs = access_log::encode(Some(&default), access_log::Protocol::Http, Target::Envoy);
    let LogFormat::Json { members, .. } = decoded(&logs).format else { panic!("{logs:?}") };
    assert!(members.iter().any(|(name, _)| name == "path"));
    let logs = access_log::encode(Some(&default), access_log::Protocol::Http, Target::Weir);
    assert_eq!(decoded(&logs), AccessLog::default());
}

fn detecting() -> Listener {
    let otherwise = TcpListener::to("app");
    let http = HttpListener {
        limits: Default::default(),
        routes: RouteSource::Rds("r".to_owned()),
        detection: Some(Box::new(Detection { otherwise, wait: Duration::from_millis(100) })),
        ..http::decode(&http_manager()).unwrap()
    };
    Listener {
        name: "inbound".to_owned(),
        address: Some(([127, 0, 0, 1], 9080).into()),
        direction: Direction::Inbound,
        kind: ListenerKind::Http(http),
    }
}

fn http_manager() -> pb::hcm::HttpConnectionManager {
    let config = wire::pack(&pb::router::Router::default());
    pb::hcm::HttpConnectionManager {
        route_specifier: Some(pb::hcm::http_connection_manager::RouteSpecifier::Rds(pb::hcm::Rds {
            config_source: wire::ads(),
            route_config_name: "r".to_owned(),
        })),
        http_filters: vec![pb::hcm::HttpFilter {
            name: "router".to_owned(),
            config_type: Some(pb::hcm::http_filter::ConfigType::TypedConfig(config)),
            ..Default::default()
        }],
        stream_idle_timeout: Some(google::Duration::default()),
        ..Default::default()
    }
}

#[test]
fn a_listener_that_finds_out_is_envoys_inspector() {
    let message = listener::encode(&detecting(), Target::Envoy);
    assert_eq!(listener::decode(&message), Ok(detecting()));
    assert!(message.continue_on_listener_filters_timeout);
    let otherwise = message.default_filter_chain.as_ref().unwrap();
    assert_eq!(otherwise.filters[0].name, "envoy.filters.network.tcp_proxy");
}

#[test]
fn half_a_detection_is_something_else() {
    let changed = |change: fn(&mut lds::Listener)| {
        let mut message = listener::encode(&detecting(), Target::Weir);
        change(&mut message);
        listener::decode(&message)
    };
    let chains: [fn(&mut lds::Listener); 4] = [
        |it| it.continue_on_listener_filters_timeout = false,
        |it| it.default_filter_chain = None,
        |it| it.listener_filters.clear(),
        |it| it.filter_chains[0].filter_chain_match = None,
    ];
    for change in chains {
        let kind = changed(change).unwrap().kind;
        let ListenerKind::Chains(chains) = &kind else { panic!("{kind:?}") };
        assert!(chains.inspect.is_some() && chains.chains.len() == 1, "{kind:?}");
    }
    let refused = |change: fn(&mut lds::Listener)| changed(change).expect_err("refused").path;
    assert_eq!(refused(|it| it.listener_filters[0].config_type = None), "listener_filters[0].typed_config");
    assert_eq!(
        refused(|it| it.listener_filters_timeout = Some(google::Duration::default())),
        "listener_filters_timeout"
    );
}
