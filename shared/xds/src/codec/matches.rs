//! Which requests a route takes.
//!
//! Envoy has the method as the pseudo header `:method`. gRPC knows no segment prefix (`path_separated_prefix`): its paths are
//! `/SERVICE/METHOD`, so a prefix of one segment is a service and one of two segments a method, and is said that way.

use super::fault::{At, Check, Fault, each, refuse};
use super::pb::{core, route};
use super::{conditions, text, wire};
use http::Method;
use route::header_matcher::HeaderMatchSpecifier;
use route::query_parameter_matcher::QueryParameterMatchSpecifier;
use route::route_match::PathSpecifier;
use weir_model::node::Target;
use weir_model::{HeaderMatch, MoreConditions, PathMatch, QueryMatch, RouteMatch, StringMatch, limits};

/// The pseudo header of the method.
const METHOD: &str = ":method";

/// The message of a match.
pub(super) fn encode(matches: &RouteMatch, target: Target) -> route::RouteMatch {
    let method =
        matches.method.iter().map(|method| header_matcher(METHOD, &StringMatch::Exact(method.to_string())));
    let headers = matches.headers.iter().map(|header| header_matcher(header.name.as_str(), &header.value));
    let mut message = route::RouteMatch {
        path_specifier: Some(path(&matches.path, target)),
        headers: method.chain(headers).collect(),
        query_parameters: matches.query.iter().map(query_matcher).collect(),
        runtime_fraction: matches.fraction.map(|share| core::RuntimeFractionalPercent {
            default_value: Some(wire::fraction(share)),
            ..core::RuntimeFractionalPercent::default()
        }),
        ..route::RouteMatch::default()
    };
    if let Some(more) = &matches.more {
        conditions::encode(more, &mut message);
    }
    message
}

/// The match of a message.
pub(super) fn decode(message: &route::RouteMatch) -> Check<RouteMatch> {
    refuse!(message; tls_context, dynamic_metadata, filter_state);
    let path = from_path(message.path_specifier.as_ref())?;
    let insensitive = message.case_sensitive.is_some_and(|sensitive| !sensitive.value);
    let mut more = MoreConditions {
        // Expressions say it themselves.
        ignore_case: insensitive && !matches!(path, PathMatch::Regex(_)),
        grpc: message.grpc.is_some(),
        cookies: conditions::from_cookies(&message.cookies)?,
        ..MoreConditions::default()
    };
    let mut method = None;
    let mut headers = Vec::new();
    for (index, matcher) in message.headers.iter().enumerate().take(limits::HEAD_FIELDS + 1) {
        if index == limits::HEAD_FIELDS {
            return Err(Fault::of("headers", format!("more than {} conditions", limits::HEAD_FIELDS)));
        }
        if method.is_none() && is_one_method(matcher) {
            method = Some(from_method(matcher).at_index("headers", index)?);
        } else if conditions::is_plain(matcher) {
            headers.push(from_header_match(matcher).at_index("headers", index)?);
        } else {
            more.fields.push(conditions::from_field(matcher).at_index("headers", index)?);
        }
    }
    let query = from_query(&message.query_parameters, &mut more)?;
    Ok(RouteMatch {
        path,
        method,
        headers,
        query,
        fraction: match &message.runtime_fraction {
            Some(fraction) => Some(from_runtime_fraction(fraction).at("runtime_fraction")?),
            None => None,
        },
        more: (!more.is_empty()).then(|| Box::new(more)),
    })
}

fn from_runtime_fraction(fraction: &core::RuntimeFractionalPercent) -> Check<weir_model::Fraction> {
    // The runtime key is a switch inside one Envoy; the default is what everybody else has.
    let value = super::fault::required("default_value", fraction.default_value.as_ref())?;
    wire::from_fraction(value).at("default_value")
}

fn path(path: &PathMatch, target: Target) -> PathSpecifier {
    match path {
        PathMatch::Exact(path) => PathSpecifier::Path(path.clone()),
        PathMatch::Regex(expression) => PathSpecifier::SafeRegex(text::regex(expression)),
        PathMatch::Characters(prefix) => PathSpecifier::Prefix(prefix.clone()),
        PathMatch::Prefix(prefix) if prefix == "/" => PathSpecifier::Prefix(prefix.clone()),
        PathMatch::Prefix(prefix) if target == Target::Grpc => match prefix.matches('/').count() {
            2 => PathSpecifier::Path(prefix.clone()),
            _ => PathSpecifier::Prefix(format!("{prefix}/")),
        },
        PathMatch::Prefix(prefix) => PathSpecifier::PathSeparatedPrefix(prefix.clone()),
    }
}

fn from_path(specifier: Option<&PathSpecifier>) -> Check<PathMatch> {
    match specifier {
        Some(PathSpecifier::Path(path)) => Ok(PathMatch::Exact(bounded("path", path)?)),
        Some(PathSpecifier::SafeRegex(regex)) => {
            Ok(PathMatch::Regex(text::from_regex(regex).at("safe_regex")?))
        }
        Some(PathSpecifier::Prefix(prefix)) if prefix.is_empty() || prefix == "/" => Ok(PathMatch::default()),
        Some(PathSpecifier::Prefix(prefix)) => Ok(PathMatch::Characters(bounded("prefix", prefix)?)),
        Some(PathSpecifier::PathSeparatedPrefix(prefix)) => {
            if prefix.is_empty() || prefix.ends_with('/') || prefix.contains(['?', '#']) {
                let message = "must be a path without trailing slash, query or fragment";
                return Err(Fault::of("path_separated_prefix", message));
            }
            Ok(PathMatch::Prefix(bounded("path_separated_prefix", prefix)?))
        }
        Some(PathSpecifier::ConnectMatcher(_)) => Err(Fault::unsupported("connect_matcher")),
        Some(PathSpecifier::PathMatchPolicy(_)) => Err(Fault::unsupported("path_match_policy")),
        None => Err(Fault::of("path_specifier", "missing")),
    }
}

fn bounded(field: &str, path: &str) -> Check<String> {
    if path.len() > limits::HEAD_BYTES {
        return Err(Fault::of(field, format!("longer than {} bytes", limits::HEAD_BYTES)));
    }
    Ok(path.to_owned())
}

/// The message of a condition on a header field.
pub(super) fn header_match(condition: &HeaderMatch) -> route::HeaderMatcher {
    header_matcher(condition.name.as_str(), &condition.value)
}

fn header_matcher(name: &str, value: &StringMatch) -> route::HeaderMatcher {
    let specifier = match text::encode(value) {
        Some(matcher) => HeaderMatchSpecifier::StringMatch(matcher),
        None => HeaderMatchSpecifier::PresentMatch(true),
    };
    route::HeaderMatcher {
        name: name.to_owned(),
        header_match_specifier: Some(specifier),
        ..route::HeaderMatcher::default()
    }
}

/// Whether a condition asks for one method: what routes are found by.
#[allow(deprecated, reason = "older control planes still say `exact_match`")]
fn is_one_method(matcher: &route::HeaderMatcher) -> bool {
    use super::pb::matcher::string_matcher::MatchPattern;
    let exact = match &matcher.header_match_specifier {
        Some(HeaderMatchSpecifier::ExactMatch(_)) => true,
        Some(HeaderMatchSpecifier::StringMatch(value)) => {
            matches!(value.match_pattern, Some(MatchPattern::Exact(_))) && !value.ignore_case
        }
        _ => false,
    };
    // Where there always is one, nothing is missing.
    matcher.name == METHOD && exact && !matcher.invert_match && !matcher.treat_missing_header_as_empty
}

fn from_method(matcher: &route::HeaderMatcher) -> Check<Method> {
    match from_header_value(matcher)? {
        StringMatch::Exact(method) => Method::from_bytes(method.as_bytes())
            .map_err(|_| Fault::of("string_match.exact", format!("{:?} is no method", wire::cut(&method)))),
        StringMatch::Regex(_) | StringMatch::Present => {
            Err(Fault::of("name", "a method can only be matched exactly"))
        }
    }
}

/// A condition on a header field.
pub(super) fn from_header_match(matcher: &route::HeaderMatcher) -> Check<HeaderMatch> {
    let name = super::header::header_name(&matcher.name).at("name")?;
    refuse!(matcher; invert_match, treat_missing_header_as_empty);
    Ok(HeaderMatch { name, value: from_header_value(matcher)? })
}

/// The value that a condition asks for.
#[allow(deprecated, reason = "older control planes still say `exact_match` and its like")]
pub(super) fn from_header_value(matcher: &route::HeaderMatcher) -> Check<StringMatch> {
    match &matcher.header_match_specifier {
        Some(HeaderMatchSpecifier::StringMatch(value)) => text::decode(value).at("string_match"),
        Some(HeaderMatchSpecifier::PresentMatch(true)) | None => Ok(StringMatch::Present),
        Some(HeaderMatchSpecifier::PresentMatch(false)) => {
            Err(Fault::of("present_match", "absence cannot be matched here; leave it unset"))
        }
        Some(HeaderMatchSpecifier::ExactMatch(value)) => text::exact(value),
        Some(HeaderMatchSpecifier::SafeRegexMatch(regex)) => {
            text::from_regex(regex).map(StringMatch::Regex).at("safe_regex_match")
        }
        Some(HeaderMatchSpecifier::PrefixMatch(value)) => text::affix("prefix_match", value, "", ".*"),
        Some(HeaderMatchSpecifier::SuffixMatch(value)) => text::affix("suffix_match", value, ".*", ""),
        Some(HeaderMatchSpecifier::ContainsMatch(value)) => text::affix("contains_match", value, ".*", ".*"),
        Some(HeaderMatchSpecifier::RangeMatch(_)) => Err(Fault::unsupported("range_match")),
    }
}

fn query_matcher(query: &QueryMatch) -> route::QueryParameterMatcher {
    let specifier = match text::encode(&query.value) {
        Some(matcher) => QueryParameterMatchSpecifier::StringMatch(matcher),
        None => QueryParameterMatchSpecifier::PresentMatch(true),
    };
    route::QueryParameterMatcher {
        name: query.name.clone(),
        query_parameter_match_specifier: Some(specifier),
    }
}

fn from_query(
    matchers: &[route::QueryParameterMatcher],
    more: &mut MoreConditions,
) -> Check<Vec<QueryMatch>> {
    let absent = |matcher: &&route::QueryParameterMatcher| {
        matcher.query_parameter_match_specifier == Some(QueryParameterMatchSpecifier::PresentMatch(false))
    };
    let found = each("query_parameters", matchers, limits::HEAD_FIELDS, |matcher| {
        wire::name("name", &matcher.name)?;
        Some(matcher).filter(|matcher| !absent(matcher)).map(from_query_matcher).transpose()
    })?;
    more.absent_query = matchers.iter().filter(absent).map(|matcher| matcher.name.clone()).collect();
    Ok(found.into_iter().flatten().collect())
}

fn from_query_matcher(matcher: &route::QueryParameterMatcher) -> Check<QueryMatch> {
    let value = match &matcher.query_parameter_match_specifier {
        Some(QueryParameterMatchSpecifier::StringMatch(value)) => text::decode(value).at("string_match")?,
        Some(QueryParameterMatchSpecifier::PresentMatch(true)) | None => StringMatch::Present,
        Some(QueryParameterMatchSpecifier::PresentMatch(false)) => {
            return Err(Fault::of("present_match", "absence is no value"));
        }
    };
    Ok(QueryMatch { name: wire::name("name", &matcher.name)?, value })
}
