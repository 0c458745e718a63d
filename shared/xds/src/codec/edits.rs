//! Changes to header fields that no policy says: formatted values, fields that are written only if there is one, or none.

use super::fault::{At, Check, Fault, required};
use super::header::header_name;
use super::pb::{core, google};
use core::header_value_option::HeaderAppendAction;
use weir_model::access_log::{Piece, Template};
use weir_model::{EditAction, EditValue, HeaderEdit, HeaderEdits, HeaderName, HeaderValue, limits};

/// The fields to add or set, and those to remove.
pub(super) fn encode(edits: &HeaderEdits) -> (Vec<core::HeaderValueOption>, Vec<String>) {
    let write = edits.write.iter().map(|HeaderEdit { name, value, action }| {
        let mut header = core::HeaderValue { key: name.as_str().to_owned(), ..core::HeaderValue::default() };
        let keep_empty_value = match value {
            EditValue::Literal(value) => {
                write_literal(&mut header, value);
                value.is_empty()
            }
            EditValue::Template { template, keep_empty } => {
                header.value = template.to_string();
                *keep_empty
            }
        };
        let action = match action {
            EditAction::Append => HeaderAppendAction::AppendIfExistsOrAdd,
            EditAction::AddIfAbsent => HeaderAppendAction::AddIfAbsent,
            EditAction::OverwriteIfExists => HeaderAppendAction::OverwriteIfExists,
            EditAction::Overwrite => HeaderAppendAction::OverwriteIfExistsOrAdd,
        };
        core::HeaderValueOption {
            header: Some(header),
            append_action: action as i32,
            keep_empty_value,
            ..core::HeaderValueOption::default()
        }
    });
    (write.collect(), edits.remove.iter().map(|name| name.as_str().to_owned()).collect())
}

/// A value as it stands: with its per cent signs doubled, or as bytes if it is no text.
pub(super) fn write_literal(header: &mut core::HeaderValue, value: &HeaderValue) {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => header.value = text.replace('%', "%%"),
        Err(_) => header.raw_value = value.as_bytes().to_vec(),
    }
}

/// A field to write; `None` for an empty one that is not to be kept.
#[allow(deprecated, reason = "older control planes still say `append`")]
pub(super) fn from_option(option: &core::HeaderValueOption) -> Check<Option<HeaderEdit>> {
    let header = required("header", option.header.as_ref())?;
    let name = header_name(&header.key).at("header.key")?;
    let action = match (HeaderAppendAction::try_from(option.append_action), &option.append) {
        (Ok(HeaderAppendAction::AppendIfExistsOrAdd), Some(google::BoolValue { value: false })) => {
            EditAction::Overwrite
        }
        (Ok(HeaderAppendAction::AppendIfExistsOrAdd), _) => EditAction::Append,
        (_, Some(_)) => return Err(Fault::of("append", "not together with append_action")),
        (Ok(HeaderAppendAction::AddIfAbsent), None) => EditAction::AddIfAbsent,
        (Ok(HeaderAppendAction::OverwriteIfExists), None) => EditAction::OverwriteIfExists,
        (Ok(HeaderAppendAction::OverwriteIfExistsOrAdd), None) => EditAction::Overwrite,
        (Err(_), None) => {
            return Err(Fault::of("append_action", format!("{} is unknown", option.append_action)));
        }
    };
    let value = match header.raw_value.is_empty() {
        true => from_format(&header.value, option.keep_empty_value).at("header.value")?,
        false => EditValue::Literal(from_bytes(&header.raw_value)?),
    };
    let nothing = matches!(&value, EditValue::Literal(value) if value.is_empty()) && !option.keep_empty_value;
    Ok((!nothing).then_some(HeaderEdit { name, value, action }))
}

fn from_bytes(bytes: &[u8]) -> Check<HeaderValue> {
    HeaderValue::from_bytes(bytes).map_err(|_| Fault::of("header.value", "not allowed in a header field"))
}

/// A text with operators, as access logs have them.
fn from_format(format: &str, keep_empty: bool) -> Check<EditValue> {
    if format.len() > limits::HEAD_BYTES {
        return Err(Fault::new(format!("longer than {} bytes", limits::HEAD_BYTES)));
    }
    let template = Template::parse(format).map_err(|error| Fault::new(error.to_string()))?;
    let text: String = match template.0.as_slice() {
        [] => String::new(),
        [Piece::Text(text)] => text.clone(),
        pieces => {
            let allowed = |piece: &Piece| match piece {
                Piece::Text(text) => HeaderValue::from_bytes(text.as_bytes()).is_ok(),
                Piece::Value { .. } => true,
            };
            if !pieces.iter().all(allowed) {
                return Err(Fault::new("not allowed in a header field"));
            }
            return Ok(EditValue::Template { template, keep_empty });
        }
    };
    let value = HeaderValue::from_bytes(text.as_bytes());
    value.map(EditValue::Literal).map_err(|_| Fault::new("not allowed in a header field"))
}

/// Whether what is written can be said as fields that are set and fields that are added.
pub(super) fn is_plain(write: &[HeaderEdit]) -> bool {
    write.iter().all(|edit| {
        matches!(edit.value, EditValue::Literal(_))
            && matches!(edit.action, EditAction::Append | EditAction::Overwrite)
    })
}

/// The fields that are touched.
pub(super) fn names(edits: &HeaderEdits) -> impl Iterator<Item = &HeaderName> {
    edits.write.iter().map(|edit| &edit.name).chain(&edits.remove)
}
