//! Hash policies, sticky splits and sessions, as others write them.

use super::pb::{self, google, route};
use super::*;
use crate::codec::cluster as cluster_codec;
use route::route::Action;
use route::route_action::hash_policy::{self, PolicySpecifier};
use route::route_action::{ClusterSpecifier, HashPolicy};
use route::weighted_cluster::RandomValueSpecifier;
use weir_model::{Affinity, HashSource, RingSize, Session, Spread, StickySplit};

fn decoded(change: impl FnOnce(&mut route::Route)) -> Result<Option<Box<Affinity>>, String> {
    let mut message = super::route::encode(&routes(forward()), Target::Weir);
    change(&mut message.virtual_hosts[0].routes[0]);
    match decode(&wire::pack(&message)) {
        Ok(Resource::Route(mut routes)) => match routes.virtual_hosts.remove(0).routes.remove(0).action {
            RouteAction::Forward(forward) => Ok(forward.affinity),
            other => panic!("{other:?}"),
        },
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.field),
    }
}

fn of_action(change: impl FnOnce(&mut route::RouteAction)) -> Result<Option<Box<Affinity>>, String> {
    decoded(|route| match &mut route.action {
        Some(Action::Route(action)) => change(action),
        other => panic!("{other:?}"),
    })
}

fn hashing(specifiers: Vec<PolicySpecifier>) -> Result<Vec<HashSource>, String> {
    let policies =
        specifiers.into_iter().map(|it| HashPolicy { terminal: false, policy_specifier: Some(it) });
    let affinity = of_action(|action| action.hash_policy = policies.collect())?;
    Ok(affinity.map(|it| it.hash.into_iter().map(|policy| policy.source).collect()).unwrap_or_default())
}

fn cookie(name: &str) -> hash_policy::Cookie {
    hash_policy::Cookie { name: name.to_owned(), ..Default::default() }
}

#[test]
fn every_source_of_envoy_is_understood_but_filter_state() {
    let source =
        |source_ip| PolicySpecifier::ConnectionProperties(hash_policy::ConnectionProperties { source_ip });
    assert_eq!(hashing(vec![source(true)]), Ok(vec![HashSource::SourceAddress]));
    // Envoy makes nothing of it.
    assert_eq!(hashing(vec![source(false)]), Ok(vec![]));
    let query = PolicySpecifier::QueryParameter(hash_policy::QueryParameter { name: "q".to_owned() });
    assert_eq!(hashing(vec![query]), Ok(vec![HashSource::Query("q".to_owned())]));
    let never_issued = hashing(vec![PolicySpecifier::Cookie(cookie("c"))]).unwrap();
    assert!(matches!(&never_issued[..], [HashSource::Cookie(it)] if it.ttl.is_none()));
    let half = google::Duration { seconds: 1, nanos: 500_000_000 };
    let short =
        hashing(vec![PolicySpecifier::Cookie(hash_policy::Cookie { ttl: Some(half), ..cookie("c") })]);
    let second = std::time::Duration::from_secs(1);
    assert!(matches!(&short.unwrap()[..], [HashSource::Cookie(it)] if it.ttl == Some(second)));
    let action = "virtual_hosts[0].routes[0].route";
    let state =
        PolicySpecifier::FilterState(hash_policy::FilterState { key: "io.grpc.channel_id".to_owned() });
    assert_eq!(hashing(vec![state]), Err(format!("{action}.hash_policy[0].filter_state")));
    let rewritten = hash_policy::Header {
        header_name: "x".to_owned(),
        regex_rewrite: Some(pb::matcher::RegexMatchAndSubstitute::default()),
    };
    let refused = hashing(vec![PolicySpecifier::Header(rewritten)]);
    assert_eq!(refused, Err(format!("{action}.hash_policy[0].header.regex_rewrite")));
}

#[test]
fn cookies_that_would_break_a_header_are_refused() {
    let field = "virtual_hosts[0].routes[0].route.hash_policy[0].cookie";
    let refused = |cookie| hashing(vec![PolicySpecifier::Cookie(cookie)]).unwrap_err();
    for name in ["", "a b", "a;b", "a=b", "a\r\nset-cookie: b"] {
        assert_eq!(refused(cookie(name)), format!("{field}.name"), "{name:?}");
    }
    for path in ["/;", "/\n", "/\u{e9}"] {
        let with_path = hash_policy::Cookie { path: path.to_owned(), ..cookie("c") };
        assert_eq!(refused(with_path), format!("{field}.path"), "{path:?}");
    }
    let attribute = |name: &str, value: &str| hash_policy::Cookie {
        attributes: vec![hash_policy::CookieAttribute { name: name.to_owned(), value: value.to_owned() }],
        ..cookie("c")
    };
    assert_eq!(refused(attribute("", "x")), format!("{field}.attributes[0].name"));
    assert_eq!(refused(attribute("Domain", "x; HttpOnly")), format!("{field}.attributes[0].value"));
    let many = hash_policy::Cookie {
        attributes: vec![Default::default(); limits::COOKIE_ATTRIBUTES + 1],
        ..cookie("c")
    };
    assert_eq!(refused(many), format!("{field}.attributes"));
}

#[test]
fn splits_stick_by_hash_or_by_a_number_in_a_header() {
    let sticky = |specifier: RandomValueSpecifier| {
        let affinity = of_action(|action| {
            let weighted = route::weighted_cluster::ClusterWeight {
                name: "a".to_owned(),
                weight: wire::wrap(1),
                ..Default::default()
            };
            action.cluster_specifier = Some(ClusterSpecifier::WeightedClusters(route::WeightedCluster {
                clusters: vec![weighted],
                random_value_specifier: Some(specifier),
                ..Default::default()
            }));
        });
        affinity.map(|affinity| affinity.and_then(|affinity| affinity.split))
    };
    let uses = |value| RandomValueSpecifier::UseHashPolicy(google::BoolValue { value });
    assert_eq!(sticky(uses(true)), Ok(Some(StickySplit::Hash)));
    assert_eq!(sticky(uses(false)), Ok(None));
    let number = ::http::HeaderName::from_static("x-number");
    let header = |name: &str| RandomValueSpecifier::HeaderName(name.to_owned());
    assert_eq!(sticky(header("X-Number")), Ok(Some(StickySplit::Header(number))));
    let field = "virtual_hosts[0].routes[0].route.weighted_clusters.header_name";
    assert_eq!(sticky(header("x y")), Err(field.to_owned()));
}

#[test]
fn sessions_stand_on_routes() {
    use pb::stateful_session::stateful_session_per_route::Override;
    use pb::stateful_session::{StatefulSession, StatefulSessionPerRoute};
    let session = |per_route: Override| -> Result<Option<Session>, String> {
        let config = wire::pack(&StatefulSessionPerRoute { r#override: Some(per_route) });
        let name = crate::codec::affinity::FILTER.to_owned();
        let affinity = decoded(|route| drop(route.typed_per_filter_config.insert(name, config)))?;
        Ok(affinity.and_then(|affinity| affinity.session))
    };
    let state = |any| pb::core::TypedExtensionConfig { name: "x".to_owned(), typed_config: Some(any) };
    let by_cookie = pb::cookie_session::CookieBasedSessionState {
        cookie: Some(pb::http_kind::Cookie {
            name: "s".to_owned(),
            path: "/shop".to_owned(),
            ..Default::default()
        }),
    };
    let with = |any| StatefulSession { session_state: Some(state(any)), strict: true, ..Default::default() };
    let found = session(Override::StatefulSession(with(wire::pack(&by_cookie)))).unwrap().unwrap();
    assert_eq!((found.cookie.name.as_str(), found.cookie.path.as_str(), found.strict), ("s", "/shop", true));
    assert_eq!(session(Override::Disabled(true)), Ok(None));
    assert_eq!(session(Override::StatefulSession(StatefulSession::default())), Ok(None));
    let by_header = google::Any {
        type_url:
            "type.googleapis.com/envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState"
                .to_owned(),
        value: vec![],
    };
    let refused = session(Override::StatefulSession(with(by_header))).unwrap_err();
    assert!(refused.ends_with("stateful_session.session_state.typed_config.type_url"), "{refused}");
    let nameless = pb::cookie_session::CookieBasedSessionState { cookie: Some(Default::default()) };
    let refused = session(Override::StatefulSession(with(wire::pack(&nameless)))).unwrap_err();
    assert!(refused.ends_with("session_state.typed_config.cookie.name"), "{refused}");
    let status =
        StatefulSession { status_on_strict_destination_not_found: 418, ..with(wire::pack(&by_cookie)) };
    let refused = session(Override::StatefulSession(status)).unwrap_err();
    assert!(refused.ends_with("stateful_session.status_on_strict_destination_not_found"), "{refused}");
}

fn balancing(change: impl FnOnce(&mut pb::cluster::Cluster)) -> Result<(LoadBalancing, Spread), String> {
    let mut message =
        cluster_codec::encode(&Cluster { load_balancing: LoadBalancing::RoundRobin, ..cluster() });
    change(&mut message);
    match decode(&wire::pack(&message)) {
        Ok(Resource::Cluster(cluster)) => Ok((cluster.load_balancing, cluster.spread)),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.field),
    }
}

#[test]
fn older_forms_of_hashing_are_understood() {
    use pb::cluster::cluster::{LbConfig, LbPolicy, MaglevLbConfig, RingHashLbConfig};
    let wide = |value| Some(google::UInt64Value { value });
    let plain = |policy: LbPolicy, config| {
        balancing(|it| {
            it.lb_policy = policy as i32;
            it.lb_config = config;
        })
        .map(|(balancing, _)| balancing)
    };
    assert_eq!(plain(LbPolicy::RingHash, None), Ok(LoadBalancing::RingHash(RingSize::default())));
    let sized = |minimum, maximum| {
        let config = RingHashLbConfig {
            minimum_ring_size: wide(minimum),
            maximum_ring_size: wide(maximum),
            ..Default::default()
        };
        plain(LbPolicy::RingHash, Some(LbConfig::RingHashLbConfig(config)))
    };
    let size = RingSize { minimum: Some(64), maximum: Some(128) };
    assert_eq!(sized(64, 128), Ok(LoadBalancing::RingHash(size)));
    assert_eq!(sized(129, 128), Err("ring_hash_lb_config.minimum_ring_size".to_owned()));
    assert_eq!(sized(64, 8_388_609), Err("ring_hash_lb_config.maximum_ring_size".to_owned()));
    assert_eq!(sized(1 << 21, 1 << 22), Err("ring_hash_lb_config.minimum_ring_size".to_owned()));
    let table = |size| {
        let config = MaglevLbConfig { table_size: wide(size) };
        plain(LbPolicy::Maglev, Some(LbConfig::MaglevLbConfig(config)))
    };
    assert_eq!(table(251), Ok(LoadBalancing::Maglev { table_size: Some(251) }));
    for wrong in [0, 1, 250, 5_000_013, u64::MAX] {
        assert_eq!(table(wrong), Err("maglev_lb_config.table_size".to_owned()), "{wrong}");
    }
}

#[test]
fn localities_and_draining_sessions_are_as_the_message_says() {
    use pb::core::{HealthStatus, HealthStatusSet};
    let said = |change: &dyn Fn(&mut pb::cluster::cluster::CommonLbConfig)| {
        let found = balancing(|it| change(it.common_lb_config.get_or_insert_default()));
        found.map(|(_, spread)| (spread.by_locality, spread.draining_sessions))
    };
    assert_eq!(said(&|it| *it = Default::default()), Ok((false, false)));
    assert_eq!(said(&|_| {}), Ok((true, true)));
    assert_eq!(said(&|it| it.locality_config_specifier = None), Ok((false, true)));
    let statuses = |statuses: &[HealthStatus]| {
        let statuses: Vec<i32> = statuses.iter().map(|status| *status as i32).collect();
        said(&|it| it.override_host_status = Some(HealthStatusSet { statuses: statuses.clone() }))
    };
    use HealthStatus::{Degraded, Draining, Healthy, Unhealthy, Unknown};
    assert_eq!(statuses(&[Healthy, Unknown, Degraded]), Ok((true, false)));
    assert_eq!(statuses(&[Healthy, Unknown, Degraded, Draining]), Ok((true, true)));
    for refused in [&[Healthy][..], &[], &[Healthy, Unknown, Degraded, Unhealthy]] {
        assert_eq!(statuses(refused), Err("common_lb_config.override_host_status.statuses".to_owned()));
    }
}

#[test]
fn overprovisioning_is_above_nothing() {
    let factor = |value| {
        let endpoints = weir_model::Endpoints {
            drops: Vec::new(),
            weighted_priority_health: false,
            name: "a".to_owned(),
            localities: vec![],
            overprovisioning: weir_model::OVERPROVISIONING,
        };
        let mut message = endpoints::encode(&endpoints);
        assert_eq!(message.policy, None, "the default is not said");
        message.policy.get_or_insert_default().overprovisioning_factor = wire::wrap(value);
        match decode(&wire::pack(&message)) {
            Ok(Resource::Endpoints(endpoints)) => Ok(endpoints.overprovisioning),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.field),
        }
    };
    assert_eq!(factor(200), Ok(200));
    assert_eq!(factor(0), Err("policy.overprovisioning_factor".to_owned()));
}
