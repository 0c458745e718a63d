//! Filters as other control planes write them, and what of them is refused.

use super::pb::{
    self, common_fault, core, cors, google, hcm, http_fault, kind, local_ratelimit, matcher, route,
};
use super::*;
use common_fault::fault_delay::FaultDelaySecifier;
use google::Any;
use http_fault::fault_abort::ErrorType;
use local_ratelimit::LocalRateLimit;
use prost::Name;
use std::time::Duration;
use weir_model::{AbortAnswer, Filters, LimitKey, StringMatch, TokenBucket};

type Configs = Vec<(&'static str, Any)>;

fn on_route(configs: Configs) -> Result<Option<Box<Filters>>, DecodeError> {
    let mut message = super::route::encode(&routes(forward()), Target::Envoy);
    message.virtual_hosts[0].routes[0].typed_per_filter_config =
        configs.into_iter().map(|(name, config)| (name.to_owned(), config)).collect();
    match decode(&wire::pack(&message))? {
        Resource::Route(mut routes) => Ok(routes.virtual_hosts.remove(0).routes.remove(0).filters),
        other => panic!("{other:?}"),
    }
}

fn refused(config: &impl Name) -> String {
    let field = on_route(vec![("f", wire::pack(config))]).unwrap_err().field;
    let path = "virtual_hosts[0].routes[0].typed_per_filter_config[\"f\"]";
    field.strip_prefix(path).unwrap_or_else(|| panic!("{field}")).trim_start_matches('.').to_owned()
}

fn share(numerator: u32) -> Option<core::RuntimeFractionalPercent> {
    let default_value = Some(kind::FractionalPercent { numerator, denominator: 0 });
    Some(core::RuntimeFractionalPercent { default_value, ..Default::default() })
}

fn limit() -> LocalRateLimit {
    LocalRateLimit {
        stat_prefix: "http_local_rate_limiter".to_owned(),
        token_bucket: Some(kind::TokenBucket {
            max_tokens: 10,
            tokens_per_fill: None,
            fill_interval: Some(wire::duration(Duration::from_secs(60))),
        }),
        filter_enabled: share(100),
        filter_enforced: share(100),
        ..LocalRateLimit::default()
    }
}

#[test]
fn a_limit_as_envoy_documents_it() {
    let filters =
        on_route(vec![("envoy.filters.http.local_ratelimit", wire::pack(&limit()))]).unwrap().unwrap();
    let limits = filters.limits.unwrap();
    let bucket = TokenBucket { burst: 10, requests: 1, interval: Duration::from_secs(60) };
    assert_eq!((limits.all, limits.status.as_u16(), limits.exhausted), (Some(bucket), 429, false));
}

#[test]
fn a_limit_that_is_not_enforced_is_none() {
    for off in [
        LocalRateLimit { filter_enabled: None, ..limit() },
        LocalRateLimit { filter_enabled: share(0), ..limit() },
        LocalRateLimit { filter_enforced: None, ..limit() },
    ] {
        let limits = on_route(vec![("l", wire::pack(&off))]).unwrap().unwrap().limits.unwrap();
        assert!(limits.is_empty());
    }
    assert_eq!(refused(&LocalRateLimit { filter_enabled: share(50), ..limit() }), "filter_enabled");
}

#[test]
fn descriptors_count_by_what_actions_make() {
    use pb::descriptors::{LocalRateLimitDescriptor, rate_limit_descriptor::Entry};
    use route::rate_limit::action::{ActionSpecifier, RequestHeaders};
    let action = ActionSpecifier::RequestHeaders(RequestHeaders {
        header_name: "x-user".to_owned(),
        descriptor_key: "user".to_owned(),
        ..Default::default()
    });
    let made = route::RateLimit {
        actions: vec![route::rate_limit::Action { action_specifier: Some(action) }],
        ..Default::default()
    };
    let by = |value: &str| LocalRateLimitDescriptor {
        entries: vec![Entry { key: "user".to_owned(), value: value.to_owned() }],
        token_bucket: limit().token_bucket,
        ..Default::default()
    };
    let keyed = LocalRateLimit { rate_limits: vec![made], descriptors: vec![by("")], ..limit() };
    let limits = on_route(vec![("l", wire::pack(&keyed))]).unwrap().unwrap().limits.unwrap();
    assert_eq!(limits.keyed[0].key, LimitKey::Header("x-user".parse().unwrap()));
    let fixed = LocalRateLimit { descriptors: vec![by("anna")], ..keyed.clone() };
    assert_eq!(refused(&fixed), "descriptors[0].entries[0].value");
    let nobody = LocalRateLimit { rate_limits: vec![], ..keyed.clone() };
    assert_eq!(refused(&nobody), "descriptors[0].entries[0].key");
    let twice = LocalRateLimit { descriptors: vec![by(""), by("")], ..keyed };
    assert_eq!(refused(&twice), "descriptors[1]");
}

#[test]
fn what_limits_cannot_do_is_refused() {
    let connection = LocalRateLimit { local_rate_limit_per_downstream_connection: true, ..limit() };
    assert_eq!(refused(&connection), "local_rate_limit_per_downstream_connection");
    assert_eq!(
        refused(&LocalRateLimit { enable_x_ratelimit_headers: 1, ..limit() }),
        "enable_x_ratelimit_headers"
    );
    assert_eq!(refused(&LocalRateLimit { token_bucket: None, ..limit() }), "token_bucket");
    let empty = kind::TokenBucket { max_tokens: 0, ..limit().token_bucket.unwrap() };
    assert_eq!(refused(&LocalRateLimit { token_bucket: Some(empty), ..limit() }), "token_bucket.max_tokens");
}

#[test]
fn faults() {
    let percentage = Some(kind::FractionalPercent { numerator: 50, denominator: 0 });
    let delay = common_fault::FaultDelay {
        percentage,
        fault_delay_secifier: Some(FaultDelaySecifier::FixedDelay(wire::duration(Duration::from_secs(3)))),
    };
    let abort = http_fault::FaultAbort {
        percentage,
        error_type: Some(ErrorType::GrpcStatus(14)),
        ..Default::default()
    };
    let fault =
        http_fault::HttpFault { delay: Some(delay), abort: Some(abort.clone()), ..Default::default() };
    let decoded = on_route(vec![("f", wire::pack(&fault))]).unwrap().unwrap().fault.unwrap();
    assert_eq!(decoded.delay.unwrap().duration, Duration::from_secs(3));
    assert_eq!(decoded.abort.unwrap().answer, AbortAnswer::Grpc(14));
    let active = http_fault::HttpFault { max_active_faults: wire::wrap(1), ..fault.clone() };
    assert_eq!(refused(&active), "max_active_faults");
    let long = FaultDelaySecifier::FixedDelay(wire::duration(Duration::from_secs(301)));
    let long = common_fault::FaultDelay { percentage, fault_delay_secifier: Some(long) };
    assert_eq!(refused(&http_fault::HttpFault { delay: Some(long), ..fault.clone() }), "delay.fixed_delay");
    let status = http_fault::FaultAbort { error_type: Some(ErrorType::HttpStatus(99)), ..abort };
    assert_eq!(refused(&http_fault::HttpFault { abort: Some(status), ..fault }), "abort.http_status");
}

#[test]
fn cors_lists_are_texts() {
    let exact = matcher::string_matcher::MatchPattern::Exact("https://a".to_owned());
    let policy = cors::CorsPolicy {
        allow_origin_string_match: vec![matcher::StringMatcher {
            match_pattern: Some(exact),
            ..Default::default()
        }],
        allow_methods: "GET, PUT,".to_owned(),
        max_age: "600".to_owned(),
        ..Default::default()
    };
    let decoded = on_route(vec![("c", wire::pack(&policy))]).unwrap().unwrap().cors.unwrap();
    assert_eq!(decoded.origins, [StringMatch::Exact("https://a".to_owned())]);
    assert_eq!(decoded.methods, [::http::Method::GET, ::http::Method::PUT]);
    assert_eq!(decoded.max_age, Some(Duration::from_secs(600)));
    assert_eq!(refused(&cors::CorsPolicy { max_age: "soon".to_owned(), ..policy.clone() }), "max_age");
    assert_eq!(
        refused(&cors::CorsPolicy { allow_methods: "G T".to_owned(), ..policy.clone() }),
        "allow_methods[0]"
    );
    let kept = Some(google::BoolValue { value: false });
    let local = cors::CorsPolicy { forward_not_matching_preflights: kept, ..policy };
    assert_eq!(refused(&local), "forward_not_matching_preflights");
    // Told again it would be switched off, so it is that at once.
    let nobody = cors::CorsPolicy { allow_methods: "GET".to_owned(), ..Default::default() };
    let decoded = on_route(vec![("c", wire::pack(&nobody))]).unwrap().unwrap();
    assert_eq!(decoded.cors, Some(weir_model::Cors::default()));
}

#[test]
fn unknown_filters_are_refused_unless_they_may_be_left_out() {
    let lua = Any {
        type_url: "type.googleapis.com/envoy.extensions.filters.http.lua.v3.LuaPerRoute".to_owned(),
        value: vec![],
    };
    let error = on_route(vec![("lua", lua.clone())]).unwrap_err();
    assert_eq!(error.field, "virtual_hosts[0].routes[0].typed_per_filter_config[\"lua\"]");
    assert!(error.message.contains("LuaPerRoute"), "{error}");
    let wrapped =
        |config, is_optional, disabled| wire::pack(&route::FilterConfig { config, is_optional, disabled });
    assert!(on_route(vec![("lua", wrapped(Some(lua.clone()), false, false))]).is_err());
    assert_eq!(on_route(vec![("lua", wrapped(Some(lua.clone()), true, false))]), Ok(None));
    assert_eq!(on_route(vec![("lua", wrapped(Some(lua), false, true))]), Ok(None));
    let known = on_route(vec![("l", wrapped(Some(wire::pack(&limit())), false, false))]).unwrap().unwrap();
    assert!(known.limits.is_some());
    assert!(on_route(vec![("l", wrapped(None, false, false))]).is_err());
}

#[test]
fn a_chain_has_each_filter_once_and_those_that_are_disabled_not_at_all() {
    let http = |filters| weir_model::HttpListener {
        manner: None,
        limits: Default::default(),
        routes: RouteSource::Rds("r".to_owned()),
        tracing: None,
        access_log: None,
        filters,
        paths: weir_model::Paths::BASE,
        forwarded: weir_model::Forwarded::Pass,
        detection: None,
    };
    let mut manager = super::http::encode("x", &http(None), Target::Envoy);
    let names: Vec<&str> = manager.http_filters.iter().map(|filter| filter.name.as_str()).collect();
    assert!(
        names.contains(&"envoy.filters.http.local_ratelimit") && names.contains(&"envoy.filters.http.fault")
    );
    let chained = |config: Any| hcm::HttpFilter {
        name: "l".to_owned(),
        config_type: Some(hcm::http_filter::ConfigType::TypedConfig(config)),
        ..Default::default()
    };
    manager.http_filters.insert(0, chained(wire::pack(&limit())));
    let decoded = super::http::decode(&manager).unwrap();
    assert!(decoded.filters.unwrap().limits.is_some());
    manager.http_filters.insert(0, chained(wire::pack(&limit())));
    assert_eq!(super::http::decode(&manager).unwrap_err().path, "http_filters[1].typed_config");
}

#[test]
fn a_fallback_is_for_routes_that_send_on() {
    use weir_proto::xds::v1;
    let answer = v1::fallback::Answer::Response(v1::StaticResponse {
        status: 99,
        body: String::new(),
        content_type: String::new(),
    });
    let config = |answer| Any {
        type_url: "type.googleapis.com/weir.xds.v1.Fallback".to_owned(),
        value: v1::Fallback { answer }.encode_to_vec(),
    };
    let name = "weir.filters.http.fallback";
    let path = format!("virtual_hosts[0].routes[0].typed_per_filter_config[{name:?}]");
    let error = on_route(vec![(name, config(Some(answer)))]).unwrap_err();
    assert_eq!(error.field, format!("{path}.response.status"));
    assert_eq!(on_route(vec![(name, config(None))]).unwrap_err().field, format!("{path}.answer"));
}
