//! What few routes have, as `/config_dump` shows it; nothing is shown of what is not there.

use serde_json::{Map, Value, json};
use weir_model::{
    EditAction, EditValue, HeaderChanges, HeaderEdits, HostOptions, HostRewrite, HostSource, MoreConditions,
    RoutesOptions, Substitution, ValueCondition,
};

use super::{headers, string_match};

/// Adds to what is shown of a virtual host what it says of all its routes, and what its configuration says of all virtual hosts.
pub(super) fn options(wide: Option<&RoutesOptions>, own: Option<&HostOptions>, shown: &mut Value) {
    let Some(members) = shown.as_object_mut() else { return };
    if let Some(wide) = wide {
        let wide = json!({
            "headers": changes(&wide.headers),
            "most_specific_header_mutations_wins": wide.most_specific_last,
            "ignore_port_in_host_matching": wide.ignore_port,
        });
        members.insert("of_configuration".to_owned(), wide);
    }
    if let Some(own) = own {
        members.insert("headers".to_owned(), changes(&own.headers));
        members.insert("include_request_attempt_count".to_owned(), json!(own.tell_attempts));
        members.insert("include_attempt_count_in_response".to_owned(), json!(own.answer_attempts));
    }
}

fn changes(changes: &HeaderChanges) -> Value {
    json!({"request": headers(&changes.request), "response": headers(&changes.response)})
}

/// Changes that no policy says.
pub(super) fn edits(edits: &HeaderEdits) -> Value {
    let write = edits.write.iter().map(|edit| {
        let mut shown = Map::new();
        shown.insert("name".to_owned(), json!(edit.name.as_str()));
        match &edit.value {
            EditValue::Literal(value) => {
                shown.insert("value".to_owned(), json!(String::from_utf8_lossy(value.as_bytes())));
            }
            EditValue::Template { template, keep_empty } => {
                shown.insert("format".to_owned(), json!(template.to_string()));
                shown.insert("keep_empty".to_owned(), json!(keep_empty));
            }
        }
        let action = match edit.action {
            EditAction::Append => "append if exists or add",
            EditAction::AddIfAbsent => "add if absent",
            EditAction::OverwriteIfExists => "overwrite if exists",
            EditAction::Overwrite => "overwrite if exists or add",
        };
        shown.insert("action".to_owned(), json!(action));
        Value::Object(shown)
    });
    json!({
        "write": write.collect::<Value>(),
        "remove": edits.remove.iter().map(|name| name.as_str()).collect::<Vec<_>>(),
    })
}

/// Conditions that few routes have.
pub(super) fn conditions(more: &MoreConditions) -> Value {
    let value = |value: &ValueCondition| match value {
        ValueCondition::Text(text) => string_match(text),
        ValueCondition::Range(from, to) => json!({"range": [from, to]}),
        ValueCondition::Absent => json!("absent"),
    };
    json!({
        "ignore_case": more.ignore_case,
        "grpc": more.grpc,
        "fields": more.fields.iter().map(|it| json!({
            "field": it.field.to_string(),
            "value": value(&it.value),
            "invert": it.invert,
            "missing_is_empty": it.missing_is_empty,
        })).collect::<Value>(),
        "absent_query": more.absent_query,
        "cookies": more.cookies.iter().map(|it| json!({
            "name": it.name,
            "value": string_match(&it.value),
            "invert": it.invert,
        })).collect::<Value>(),
    })
}

/// An expression and what comes in place of its matches.
pub(super) fn substitution(change: &Substitution) -> Value {
    json!({"pattern": change.pattern, "replacement": change.replacement})
}

/// Where the authority comes from.
pub(super) fn host(host: &HostRewrite) -> Value {
    let source = host.source.as_ref().map(|source| match source {
        HostSource::Header(name) => json!({"header": name.as_str()}),
        HostSource::Path(change) => json!({"path": substitution(change)}),
        HostSource::Endpoint => json!("endpoint"),
    });
    json!({"source": source, "append_x_forwarded_host": host.forwarded})
}
