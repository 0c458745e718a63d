//! The conditions that few routes have: on parts of the head, on what is missing, on numbers, with the result inverted, on cookies.

use super::fault::{At, Check, Fault, each, required};
use super::pb::{kind, route};
use super::{matches, text, wire};
use route::header_matcher::HeaderMatchSpecifier;
use weir_model::access_log::LogField;
use weir_model::{CookieCondition, FieldCondition, MoreConditions, StringMatch, ValueCondition, limits};

/// Adds what few routes ask to a message.
pub(super) fn encode(more: &MoreConditions, message: &mut route::RouteMatch) {
    if more.ignore_case {
        message.case_sensitive = Some(super::pb::google::BoolValue { value: false });
    }
    if more.grpc {
        message.grpc = Some(route::route_match::GrpcRouteMatchOptions {});
    }
    message.headers.extend(more.fields.iter().map(field));
    let absent = route::query_parameter_matcher::QueryParameterMatchSpecifier::PresentMatch(false);
    let parameters = more.absent_query.iter().map(|name| route::QueryParameterMatcher {
        name: name.clone(),
        query_parameter_match_specifier: Some(absent.clone()),
    });
    message.query_parameters.extend(parameters);
    message.cookies.extend(more.cookies.iter().map(|cookie| route::CookieMatcher {
        name: cookie.name.clone(),
        // There is no word for a cookie that is merely there.
        string_match:
            text::encode(&cookie.value).or_else(|| text::encode(&StringMatch::Regex(".*".to_owned()))),
        invert_match: cookie.invert,
    }));
}

fn field(condition: &FieldCondition) -> route::HeaderMatcher {
    let specifier = match &condition.value {
        ValueCondition::Text(value) => match text::encode(value) {
            Some(matcher) => HeaderMatchSpecifier::StringMatch(matcher),
            None => HeaderMatchSpecifier::PresentMatch(true),
        },
        ValueCondition::Range(start, end) => {
            HeaderMatchSpecifier::RangeMatch(kind::Int64Range { start: *start, end: *end })
        }
        ValueCondition::Absent => HeaderMatchSpecifier::PresentMatch(false),
    };
    route::HeaderMatcher {
        name: match &condition.field {
            LogField::Header(name) => name.as_str().to_owned(),
            part => part.to_string().to_ascii_lowercase(),
        },
        header_match_specifier: Some(specifier),
        invert_match: condition.invert,
        treat_missing_header_as_empty: condition.missing_is_empty,
    }
}

/// Whether a condition is one that any route may have: on a header field, that it is there with some value.
pub(super) fn is_plain(matcher: &route::HeaderMatcher) -> bool {
    use HeaderMatchSpecifier::{PresentMatch, RangeMatch};
    let value = !matches!(matcher.header_match_specifier, Some(PresentMatch(false) | RangeMatch(_)));
    value && !matcher.invert_match && !matcher.treat_missing_header_as_empty && !matcher.name.starts_with(':')
}

/// A condition on a field of the head.
pub(super) fn from_field(matcher: &route::HeaderMatcher) -> Check<FieldCondition> {
    let field = match matcher.name.as_str() {
        ":method" => LogField::Method,
        ":authority" => LogField::Authority,
        ":path" => LogField::Path,
        ":scheme" => LogField::Scheme,
        name if name.starts_with(':') => {
            let message = format!("{:?} is no part of a request's head", wire::cut(name));
            return Err(Fault::of("name", message));
        }
        name => LogField::Header(super::header::header_name(name).at("name")?),
    };
    let value = match &matcher.header_match_specifier {
        Some(HeaderMatchSpecifier::PresentMatch(false)) => ValueCondition::Absent,
        Some(HeaderMatchSpecifier::RangeMatch(range)) => ValueCondition::Range(range.start, range.end),
        _ => ValueCondition::Text(matches::from_header_value(matcher)?),
    };
    Ok(FieldCondition {
        field,
        value,
        invert: matcher.invert_match,
        missing_is_empty: matcher.treat_missing_header_as_empty,
    })
}

/// Conditions on cookies.
pub(super) fn from_cookies(matchers: &[route::CookieMatcher]) -> Check<Vec<CookieCondition>> {
    each("cookies", matchers, limits::HEAD_FIELDS, |matcher| {
        let value =
            text::decode(required("string_match", matcher.string_match.as_ref())?).at("string_match")?;
        Ok(CookieCondition { name: wire::name("name", &matcher.name)?, value, invert: matcher.invert_match })
    })
}
