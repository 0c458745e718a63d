//! What no policy says of routes, and other control planes do.

use super::*;
use weir_model::access_log::LogField;
use weir_model::{
    CookieCondition, EditAction, EditValue, FieldCondition, HeaderChanges, HeaderEdit, HeaderEdits,
    HostOptions, HostRewrite, HostSource, MoreConditions, RoutesOptions, Substitution, ValueCondition,
};

/// Changes that cannot be said as fields to set, to add and to remove.
pub(super) fn edits() -> impl Strategy<Value = HeaderMutation> {
    let texts = [
        "%REQ(x-a?:PATH)%",
        "a %PROTOCOL%, 100%%",
        "%START_TIME(%s)%%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
        "%RESP(x-b):4%",
    ];
    let template =
        prop::sample::select(texts.to_vec()).prop_map(|text| Template::parse(text).expect("known operators"));
    let value = prop_oneof![
        header_value().prop_map(EditValue::Literal),
        (template, any::<bool>())
            .prop_map(|(template, keep_empty)| EditValue::Template { template, keep_empty }),
    ];
    let action = prop::sample::select(vec![
        EditAction::Append,
        EditAction::AddIfAbsent,
        EditAction::OverwriteIfExists,
        EditAction::Overwrite,
    ]);
    let edit =
        (header_name(), value, action).prop_map(|(name, value, action)| HeaderEdit { name, value, action });
    let plain = |edit: &HeaderEdit| {
        matches!(edit.value, EditValue::Literal(_))
            && matches!(edit.action, EditAction::Append | EditAction::Overwrite)
    };
    (vec(edit, 1..4), vec(header_name(), 0..3))
        .prop_filter("a policy could not say it", move |(write, _)| !write.iter().all(plain))
        .prop_map(|(write, remove)| HeaderMutation {
            edits: Some(Box::new(HeaderEdits { remove, write })),
            ..HeaderMutation::default()
        })
}

fn changes() -> impl Strategy<Value = HeaderChanges> {
    let some = (header_mutation(), header_mutation())
        .prop_map(|(request, response)| HeaderChanges { request, response });
    prop_oneof![2 => Just(HeaderChanges::default()), 1 => some]
}

/// Those of a route configuration.
pub(super) fn options() -> impl Strategy<Value = Option<Box<RoutesOptions>>> {
    (changes(), any::<(bool, bool)>()).prop_map(|(headers, (most_specific_last, ignore_port))| {
        Some(Box::new(RoutesOptions { headers, most_specific_last, ignore_port }))
    })
}

/// Those of a virtual host.
pub(super) fn host_options() -> impl Strategy<Value = Option<Box<HostOptions>>> {
    (changes(), any::<(bool, bool)>()).prop_map(|(headers, (tell_attempts, answer_attempts))| {
        let options = HostOptions { headers, tell_attempts, answer_attempts };
        (!options.is_empty()).then(|| Box::new(options))
    })
}

/// Conditions that few routes have; not on the case of paths, for which it depends on the path.
pub(super) fn conditions() -> impl Strategy<Value = Option<Box<MoreConditions>>> {
    let part = prop::sample::select(vec![LogField::Authority, LogField::Path, LogField::Scheme]);
    let value = || {
        prop_oneof![
            string_match().prop_map(ValueCondition::Text),
            any::<(i64, i64)>().prop_map(|(from, to)| ValueCondition::Range(from, to)),
            Just(ValueCondition::Absent),
        ]
    };
    let of_part = (part, value(), any::<(bool, bool)>());
    let header = header_name().prop_map(LogField::Header);
    // Inverted, since others are conditions that any route may have.
    let of_header = (prop_oneof![header, Just(LogField::Method)], value(), Just((true, false)));
    let field = prop_oneof![of_part, of_header].prop_map(|(field, value, (invert, missing_is_empty))| {
        FieldCondition { field, value, invert, missing_is_empty }
    });
    let said = string_match().prop_filter("there is no word for it", |value| *value != StringMatch::Present);
    let cookie = (name(), said, any::<bool>()).prop_map(|(name, value, invert)| CookieCondition {
        name,
        value,
        invert,
    });
    (any::<bool>(), vec(field, 0..3), vec(name(), 0..2), vec(cookie, 0..2)).prop_map(
        |(grpc, fields, absent_query, cookies)| {
            let more = MoreConditions { ignore_case: false, grpc, fields, absent_query, cookies };
            (!more.is_empty()).then(|| Box::new(more))
        },
    )
}

/// An expression and what comes in place of its matches.
pub(super) fn substitution() -> impl Strategy<Value = Substitution> {
    (regex(), "[a-z/]{0,8}(\\\\0|\\\\\\\\)?")
        .prop_map(|(pattern, replacement)| Substitution { pattern, replacement })
}

/// Where the authority comes from that is sent upstream.
pub(super) fn host_rewrite() -> impl Strategy<Value = (Option<String>, Option<Box<HostRewrite>>)> {
    let source = prop_oneof![
        header_name().prop_map(HostSource::Header),
        substitution().prop_map(HostSource::Path),
        Just(HostSource::Endpoint),
    ];
    let other = (source, any::<bool>()).prop_map(|(source, forwarded)| {
        (None, Some(Box::new(HostRewrite { source: Some(source), forwarded })))
    });
    let literal = (name(), any::<bool>()).prop_map(|(host, forwarded)| {
        (Some(host), forwarded.then(|| Box::new(HostRewrite { source: None, forwarded })))
    });
    prop_oneof![Just((None, None)), literal, other]
}
