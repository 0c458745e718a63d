//! What ties a caller to where it was: hash policies, sticky splits, sessions.
//!
//! The first two are fields of a route's action. A session is the `StatefulSession` filter with a cookie, configured on the route; on a
//! listener the filter may stand only without a session of its own, as a place for those of the routes.

use super::fault::{At, Check, Fault, each, refuse, required};
use super::pb::{cookie_session, core, google, hcm, http_kind, route, stateful_session};
use super::{header, wire};
use route::route_action::hash_policy::{self, PolicySpecifier};
use route::route_action::{self, ClusterSpecifier};
use route::weighted_cluster::RandomValueSpecifier;
use stateful_session::stateful_session_per_route::Override;
use stateful_session::{StatefulSession, StatefulSessionPerRoute};
use std::collections::HashMap;
use std::time::Duration;
use weir_model::node::Target;
use weir_model::{Affinity, Cookie, HashPolicy, HashSource, RouteAction, Session, StickySplit, limits};

/// Envoy's name for the session filter.
pub(super) const FILTER: &str = "envoy.filters.http.stateful_session";
const COOKIE_STATE: &str = "envoy.http.stateful_session.cookie";

/// Writes what is a part of the action, whose clusters are there already.
pub(super) fn encode(affinity: Option<&Affinity>, action: &mut route::RouteAction) {
    let Some(affinity) = affinity else { return };
    action.hash_policy = affinity.hash.iter().map(encode_hash_policy).collect();
    if let Some(ClusterSpecifier::WeightedClusters(split)) = &mut action.cluster_specifier {
        split.random_value_specifier = affinity.split.as_ref().map(|split| match split {
            StickySplit::Hash => RandomValueSpecifier::UseHashPolicy(google::BoolValue { value: true }),
            StickySplit::Header(name) => RandomValueSpecifier::HeaderName(name.as_str().to_owned()),
        });
    }
}

/// What the action says, and the session that its route's configuration of the filter says.
pub(super) fn decode(action: &route::RouteAction, session: Option<Session>) -> Check<Option<Box<Affinity>>> {
    let hash = each("hash_policy", &action.hash_policy, limits::HASH_POLICIES, from_hash_policy)?;
    let split = match &action.cluster_specifier {
        Some(ClusterSpecifier::WeightedClusters(split)) => {
            from_random_value(split.random_value_specifier.as_ref()).at("weighted_clusters")?
        }
        _ => None,
    };
    let affinity = Affinity { hash: hash.into_iter().flatten().collect(), split, session };
    Ok((!affinity.is_empty()).then(|| Box::new(affinity)))
}

fn encode_hash_policy(policy: &HashPolicy) -> route_action::HashPolicy {
    let specifier = match &policy.source {
        HashSource::Header(name) => PolicySpecifier::Header(hash_policy::Header {
            header_name: name.as_str().to_owned(),
            regex_rewrite: None,
        }),
        HashSource::Cookie(cookie) => PolicySpecifier::Cookie(hash_policy::Cookie {
            name: cookie.name.clone(),
            ttl: cookie.ttl.map(wire::duration),
            path: cookie.path.clone(),
            attributes: pairs(cookie)
                .map(|(name, value)| hash_policy::CookieAttribute { name, value })
                .collect(),
        }),
        HashSource::SourceAddress => {
            PolicySpecifier::ConnectionProperties(hash_policy::ConnectionProperties { source_ip: true })
        }
        HashSource::Query(name) => {
            PolicySpecifier::QueryParameter(hash_policy::QueryParameter { name: name.clone() })
        }
    };
    route_action::HashPolicy { terminal: policy.terminal, policy_specifier: Some(specifier) }
}

/// Nothing for one that Envoy never evaluates.
fn from_hash_policy(policy: &route_action::HashPolicy) -> Check<Option<HashPolicy>> {
    let source = match required("policy_specifier", policy.policy_specifier.as_ref())? {
        PolicySpecifier::Header(header) => {
            let inner = || {
                refuse!(header; regex_rewrite);
                header::header_name(&header.header_name).at("header_name")
            };
            HashSource::Header(inner().at("header")?)
        }
        PolicySpecifier::Cookie(cookie) => {
            let attributes = cookie.attributes.iter().map(|it| (it.name.as_str(), it.value.as_str()));
            HashSource::Cookie(
                from_cookie(&cookie.name, cookie.ttl.as_ref(), &cookie.path, attributes).at("cookie")?,
            )
        }
        PolicySpecifier::ConnectionProperties(properties) if properties.source_ip => {
            HashSource::SourceAddress
        }
        PolicySpecifier::ConnectionProperties(_) => return Ok(None),
        PolicySpecifier::QueryParameter(parameter) => {
            HashSource::Query(wire::name("name", &parameter.name).at("query_parameter")?)
        }
        PolicySpecifier::FilterState(_) => return Err(Fault::unsupported("filter_state")),
    };
    Ok(Some(HashPolicy { source, terminal: policy.terminal }))
}

fn from_random_value(specifier: Option<&RandomValueSpecifier>) -> Check<Option<StickySplit>> {
    match specifier {
        Some(RandomValueSpecifier::UseHashPolicy(uses)) => Ok(uses.value.then_some(StickySplit::Hash)),
        Some(RandomValueSpecifier::HeaderName(name)) => {
            Ok(Some(StickySplit::Header(header::header_name(name).at("header_name")?)))
        }
        None => Ok(None),
    }
}

/// A route's configuration of filters. gRPC has no such filter.
pub(super) fn to_route(action: &RouteAction, target: Target) -> HashMap<String, google::Any> {
    let session = match action {
        RouteAction::Forward(forward) if target != Target::Grpc => {
            forward.affinity.as_ref().and_then(|affinity| affinity.session.as_ref())
        }
        _ => None,
    };
    session.map(|session| (FILTER.to_owned(), encode_session(session))).into_iter().collect()
}

/// The session of a route's configuration of filters.
pub(super) fn of_route(filters: &HashMap<String, google::Any>) -> Check<Option<Session>> {
    const FIELD: &str = "typed_per_filter_config";
    match filters.get(FILTER) {
        Some(config) => decode_session(config).at(&format!("{FIELD}[{FILTER}]")),
        None => Ok(None),
    }
}

/// A route's configuration of the session filter.
fn encode_session(session: &Session) -> google::Any {
    let cookie = &session.cookie;
    let state = cookie_session::CookieBasedSessionState {
        cookie: Some(http_kind::Cookie {
            name: cookie.name.clone(),
            ttl: cookie.ttl.map(wire::duration),
            path: cookie.path.clone(),
            attributes: pairs(cookie)
                .map(|(name, value)| http_kind::CookieAttribute { name, value })
                .collect(),
        }),
    };
    let session = StatefulSession {
        session_state: Some(core::TypedExtensionConfig {
            name: COOKIE_STATE.to_owned(),
            typed_config: Some(wire::pack(&state)),
        }),
        strict: session.strict,
        ..StatefulSession::default()
    };
    wire::pack(&StatefulSessionPerRoute { r#override: Some(Override::StatefulSession(session)) })
}

/// The session of a route's configuration of the filter; none if it switches the filter off.
fn decode_session(config: &google::Any) -> Check<Option<Session>> {
    let per_route: StatefulSessionPerRoute = wire::unpack(config)?;
    match &per_route.r#override {
        Some(Override::Disabled(true)) => Ok(None),
        Some(Override::Disabled(false)) | None => Err(Fault::of("override", "missing")),
        Some(Override::StatefulSession(session)) => from_session(session).at("stateful_session"),
    }
}

/// The filter in a listener of an Envoy, which looks at what routes say of filters only where it has the filter; weir and gRPC need none.
pub(super) fn listener_filter(target: Target) -> Option<hcm::HttpFilter> {
    (target == Target::Envoy).then(|| hcm::HttpFilter {
        name: FILTER.to_owned(),
        config_type: Some(hcm::http_filter::ConfigType::TypedConfig(wire::pack(&StatefulSession::default()))),
        ..hcm::HttpFilter::default()
    })
}

/// Checks the filter in a listener.
pub(super) fn check_listener_filter(config: &google::Any) -> Check<()> {
    let session: StatefulSession = wire::unpack(config)?;
    match session.session_state {
        Some(_) => {
            let message = "not supported here; write it in typed_per_filter_config of the routes";
            Err(Fault::of("session_state", message))
        }
        None => Ok(()),
    }
}

fn from_session(session: &StatefulSession) -> Check<Option<Session>> {
    if !matches!(session.status_on_strict_destination_not_found, 0 | 503) {
        return Err(Fault::of("status_on_strict_destination_not_found", "only 503 is supported"));
    }
    let Some(state) = &session.session_state else { return Ok(None) };
    let inner = || {
        let config = required("typed_config", state.typed_config.as_ref())?;
        let state: cookie_session::CookieBasedSessionState = wire::unpack(config).at("typed_config")?;
        let cookie = required("typed_config.cookie", state.cookie.as_ref())?;
        let attributes = cookie.attributes.iter().map(|it| (it.name.as_str(), it.value.as_str()));
        from_cookie(&cookie.name, cookie.ttl.as_ref(), &cookie.path, attributes).at("typed_config.cookie")
    };
    Ok(Some(Session { cookie: inner().at("session_state")?, strict: session.strict }))
}

fn pairs(cookie: &Cookie) -> impl Iterator<Item = (String, String)> {
    cookie.attributes.iter().cloned()
}

/// A cookie that can stand in a `Set-Cookie` field. Parts of a second are left out, as Envoy leaves them out.
fn from_cookie<'a>(
    name: &str,
    ttl: Option<&google::Duration>,
    path: &str,
    attributes: impl ExactSizeIterator<Item = (&'a str, &'a str)>,
) -> Check<Cookie> {
    let ttl = wire::optional_duration("ttl", ttl)?.map(|ttl| Duration::from_secs(ttl.as_secs()));
    if attributes.len() > limits::COOKIE_ATTRIBUTES {
        return Err(Fault::of("attributes", format!("at most {} are taken", limits::COOKIE_ATTRIBUTES)));
    }
    let attributes = attributes.enumerate().map(|(index, (name, value))| {
        let inner = || Ok((token("name", name)?, plain("value", value)?));
        inner().at_index("attributes", index)
    });
    let attributes = attributes.collect::<Check<_>>()?;
    Ok(Cookie { name: token("name", name)?, ttl, path: plain("path", path)?, attributes })
}

/// A token (RFC 9110 section 5.6.2).
fn token(field: &str, text: &str) -> Check<String> {
    let text = wire::name(field, text)?;
    match text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)) {
        true => Ok(text),
        false => Err(Fault::of(field, format!("{:?} is no token", wire::cut(&text)))),
    }
}

/// Text without what would end it in a cookie (RFC 6265 section 4.1.1); possibly none.
fn plain(field: &str, text: &str) -> Check<String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let text = wire::name(field, text)?;
    match text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b';') {
        true => Ok(text),
        false => Err(Fault::of(field, format!("{:?} cannot stand in a cookie", wire::cut(&text)))),
    }
}
