//! How access log lines look, as the command line says it.

use serde_json::Value;
use weir_model::access_log::{JsonTemplate, LogFormat, Template};
use weir_model::limits;

/// What `--access-log` says: whether lines are asked for, and whether they are JSON.
pub(super) fn kind(text: &str) -> Result<Option<Kind>, String> {
    match text.to_ascii_lowercase().as_str() {
        "json" | "true" | "yes" | "on" | "1" => Ok(Some(Kind::Json)),
        "text" => Ok(Some(Kind::Text)),
        "false" | "no" | "off" | "0" => Ok(None),
        _ => Err("is no kind of lines; write json or text".to_owned()),
    }
}

/// What lines are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Json,
    Text,
}

/// The lines of a kind that nobody said more about: weir's own JSON, or what Envoy writes.
pub(super) fn usual(kind: Option<Kind>) -> LogFormat {
    match kind {
        Some(Kind::Json) => LogFormat::Default,
        Some(Kind::Text) | None => LogFormat::envoy_default(),
    }
}

/// `--access-log-format`: a JSON object whose values are text with operators, or such text by itself, to which a line break is added.
pub(super) fn format(text: &str) -> Result<LogFormat, String> {
    if text.len() > limits::LOG_FORMAT_BYTES {
        return Err(format!("is longer than {} bytes; shorten it", limits::LOG_FORMAT_BYTES));
    }
    if !text.starts_with('{') {
        let template = template(&format!("{text}\n"))?;
        return Ok(LogFormat::Text { template, omit_empty: false });
    }
    let value: Value = serde_json::from_str(text).map_err(|error| {
        format!("begins like a JSON object and is none: {error}; write {{\"NAME\": \"%OPERATOR%\"}}")
    })?;
    match json(&value)? {
        JsonTemplate::Object(members) => Ok(LogFormat::Json { members, omit_empty: false }),
        _ => Err("is no JSON object; write {\"NAME\": \"%OPERATOR%\"}".to_owned()),
    }
}

fn template(text: &str) -> Result<Template, String> {
    Template::parse(text).map_err(|error| format!("is no format: {error}"))
}

/// As deep as the parser of JSON lets values nest.
fn json(value: &Value) -> Result<JsonTemplate, String> {
    Ok(match value {
        Value::String(text) => JsonTemplate::Text(template(text)?),
        Value::Object(members) => {
            let mut members: Vec<(String, JsonTemplate)> = members
                .iter()
                .map(|(name, member)| Ok((name.clone(), json(member)?)))
                .collect::<Result<_, String>>()?;
            members.sort_by(|(one, _), (other, _)| one.cmp(other));
            JsonTemplate::Object(members)
        }
        Value::Array(items) => JsonTemplate::List(items.iter().map(json).collect::<Result<_, _>>()?),
        Value::Number(number) => JsonTemplate::Number(number.to_string()),
        Value::Bool(value) => JsonTemplate::Bool(*value),
        Value::Null => JsonTemplate::Null,
    })
}

#[cfg(test)]
mod tests;
