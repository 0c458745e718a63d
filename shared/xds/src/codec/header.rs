//! Changes to header fields.
//!
//! Envoy expands `%…%` in the values, so a literal per cent sign is doubled on the wire. On the wire removing comes before adding, and in the
//! model after it: what the model would remove again is not written, and what is added after it was removed is read as set. A value that is
//! not UTF-8 reaches weir only: Envoy leaves such a field out.

use super::fault::{Check, Fault, each, required};
use super::pb::{core, google};
use core::header_value_option::HeaderAppendAction;
use weir_model::{HeaderMutation, HeaderName, HeaderValue, limits};

/// The fields to add or set, and those to remove.
pub(super) fn encode(mutation: &HeaderMutation) -> (Vec<core::HeaderValueOption>, Vec<String>) {
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
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => header.value = text.replace('%', "%%"),
        Err(_) => header.raw_value = value.as_bytes().to_vec(),
    }
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
        fields.chain(&mutation.remove).cloned().collect()
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
    let mut mutation = HeaderMutation::default();
    let added = each(&format!("{side}_headers_to_add"), add, limits::HEAD_FIELDS, from_option)?;
    for (index, (name, value, sets)) in added.into_iter().enumerate() {
        if !sets {
            mutation.add.push((name, value));
        } else if mutation.add.iter().any(|(other, _)| *other == name) {
            let field = format!("{side}_headers_to_add[{index}]");
            return Err(Fault::of(
                &field,
                format!("overwrites {name}, which was added before it; put it first"),
            ));
        } else {
            mutation.set.push((name, value));
        }
    }
    let removed =
        each(&format!("{side}_headers_to_remove"), remove, limits::HEAD_FIELDS, |name| header_name(name))?;
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

#[allow(deprecated, reason = "older control planes still say `append`")]
fn from_option(option: &core::HeaderValueOption) -> Check<(HeaderName, HeaderValue, bool)> {
    let header = required("header", option.header.as_ref())?;
    let name = header_name(&header.key).map_err(|fault| fault.within("header.key"))?;
    let sets = match (HeaderAppendAction::try_from(option.append_action), &option.append) {
        (Ok(HeaderAppendAction::OverwriteIfExistsOrAdd), None) => true,
        (Ok(HeaderAppendAction::AppendIfExistsOrAdd), None) => false,
        (Ok(HeaderAppendAction::AppendIfExistsOrAdd), Some(google::BoolValue { value: append })) => !append,
        _ => {
            let message = "only APPEND_IF_EXISTS_OR_ADD and OVERWRITE_IF_EXISTS_OR_ADD are supported";
            return Err(Fault::of("append_action", message));
        }
    };
    let bytes = match header.raw_value.is_empty() {
        true => literal(&header.value).map_err(|fault| fault.within("header.value"))?.into_bytes(),
        false => header.raw_value.clone(),
    };
    let value = HeaderValue::from_bytes(&bytes)
        .map_err(|_| Fault::of("header.value", "not allowed in a header field"))?;
    Ok((name, value, sets))
}

/// The text of a format string without commands.
fn literal(format: &str) -> Check<String> {
    if format.len() > limits::HEAD_BYTES {
        return Err(Fault::new(format!("longer than {} bytes", limits::HEAD_BYTES)));
    }
    let mut text = String::with_capacity(format.len());
    let mut rest = format.chars();
    while let Some(char) = rest.next() {
        if char == '%' && rest.next() != Some('%') {
            return Err(Fault::new("format commands (%…%) are not supported; write %% for a per cent sign"));
        }
        text.push(char);
    }
    Ok(text)
}

/// The name of a header field.
pub(super) fn header_name(name: &str) -> Check<HeaderName> {
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| Fault::new(format!("{:?} is no header field name", super::wire::cut(name))))
}
