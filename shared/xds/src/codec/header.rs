//! Changes to header fields.
//!
//! What policies say is set, added and removed ([`HeaderMutation`]); what cannot be said so is read as [`edits`]. Envoy expands `%…%` in the values, so a literal per cent sign is doubled on the wire. On the wire removing comes before adding, and in the
//! model after it: what the model would remove again is not written, and what is added after it was removed is read as set. A value that is
//! not UTF-8 reaches weir only: Envoy leaves such a field out.

use super::edits;
use super::fault::{Check, Fault, each};
use super::pb::core;
use core::header_value_option::HeaderAppendAction;
use weir_model::{
    EditAction, EditValue, HeaderEdit, HeaderEdits, HeaderMutation, HeaderName, HeaderValue, limits,
};

/// The fields to add or set, and those to remove.
pub(super) fn encode(mutation: &HeaderMutation) -> (Vec<core::HeaderValueOption>, Vec<String>) {
    if let Some(edits) = &mutation.edits {
        return edits::encode(edits);
    }
    let stays = |(name, _): &&(HeaderName, HeaderValue)| !mutation.remove.contains(name);
    let set = mutation
        .set
        .iter()
        .filter(stays)
        .map(|field| option(field, HeaderAppendAction::OverwriteIfExistsOrAdd));
    let add =
        mutation.add.iter().filter(stays).map(|field| option(field, HeaderAppendAction::AppendIfExistsOrAdd));
    (set.chain(add).collect(), mutation.remove.iter().map(|name| name.as_str().to_owned()).collect())
}

fn option((name, value): &(HeaderName, HeaderValue), action: HeaderAppendAction) -> core::HeaderValueOption {
    let mut header = core::HeaderValue { key: name.as_str().to_owned(), ..core::HeaderValue::default() };
    edits::write_literal(&mut header, value);
    core::HeaderValueOption {
        header: Some(header),
        append_action: action as i32,
        keep_empty_value: value.is_empty(),
        ..core::HeaderValueOption::default()
    }
}

/// Whether two mutations change a field of the same name, so that their order matters.
pub(super) fn overlap(one: &HeaderMutation, other: &HeaderMutation) -> bool {
    let names = |mutation: &HeaderMutation| -> Vec<HeaderName> {
        let fields = mutation.set.iter().chain(&mutation.add).map(|(name, _)| name);
        let edited = mutation.edits.iter().flat_map(|edits| edits::names(edits));
        fields.chain(&mutation.remove).chain(edited).cloned().collect()
    };
    let names_of_other = names(other);
    names(one).iter().any(|name| names_of_other.contains(name))
}

/// The fields to add or set, and those to remove, of two mutations one after the other, for an Envoy.
pub(super) fn encode_both(
    first: &HeaderMutation,
    then: &HeaderMutation,
) -> (Vec<core::HeaderValueOption>, Vec<String>) {
    let replaced = then.remove.iter().chain(then.set.iter().map(|(name, _)| name));
    let replaced: Vec<&str> = replaced.map(HeaderName::as_str).collect();
    let stays = |option: &core::HeaderValueOption| {
        !option.header.as_ref().is_some_and(|header| replaced.contains(&header.key.as_str()))
    };
    let (mut add, mut remove) = encode(first);
    let (later, more) = encode(then);
    add.retain(stays);
    add.extend(later);
    remove.extend(more);
    (add, remove)
}

/// What two mutations do one after the other.
pub(super) fn after(first: &HeaderMutation, then: &HeaderMutation) -> HeaderMutation {
    let mut both = first.clone();
    let forget = |both: &mut HeaderMutation, name: &HeaderName| {
        both.set.retain(|(other, _)| other != name);
        both.add.retain(|(other, _)| other != name);
        both.remove.retain(|other| other != name);
    };
    for (name, value) in &then.set {
        forget(&mut both, name);
        both.set.push((name.clone(), value.clone()));
    }
    for (name, value) in &then.add {
        // Where the first removed it, there is nothing to add to.
        let list = if both.remove.contains(name) { &mut both.set } else { &mut both.add };
        list.push((name.clone(), value.clone()));
        both.remove.retain(|other| other != name);
    }
    for name in &then.remove {
        forget(&mut both, name);
        both.remove.push(name.clone());
    }
    both
}

/// The mutation of fields to add or set and fields to remove; `side` is `request` or `response`.
pub(super) fn decode(
    side: &str,
    add: &[core::HeaderValueOption],
    remove: &[String],
) -> Check<HeaderMutation> {
    let added = each(&format!("{side}_headers_to_add"), add, limits::HEAD_FIELDS, edits::from_option)?;
    let write: Vec<HeaderEdit> = added.into_iter().flatten().collect();
    let removed =
        each(&format!("{side}_headers_to_remove"), remove, limits::HEAD_FIELDS, |name| header_name(name))?;
    if !edits::is_plain(&write) {
        let edits = Some(Box::new(HeaderEdits { remove: removed, write }));
        return Ok(HeaderMutation { edits, ..HeaderMutation::default() });
    }
    let mut mutation = HeaderMutation::default();
    for HeaderEdit { name, value, action } in write {
        let EditValue::Literal(value) = value else { continue };
        // Whatever their order, those that overwrite come first.
        match action {
            EditAction::Overwrite => mutation.set.push((name, value)),
            _ => mutation.add.push((name, value)),
        }
    }
    for name in removed {
        if mutation.set.iter().any(|(other, _)| *other == name) {
            continue;
        }
        match mutation.add.iter().position(|(other, _)| *other == name) {
            Some(first) => mutation.set.push(mutation.add.remove(first)),
            None => mutation.remove.push(name),
        }
    }
    Ok(mutation)
}

/// The name of a header field.
pub(super) fn header_name(name: &str) -> Check<HeaderName> {
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| Fault::new(format!("{:?} is no header field name", super::wire::cut(name))))
}
