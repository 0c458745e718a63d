//! Values → answers.

use crate::convert;
use prost::Message;
use std::sync::Arc;
use tonic::{Code, Status};
use weir_model::Diagnostic;
use weir_policy::{Object, ObjectId};
use weir_proto::policy::v1 as wire;
use weir_store::{Commit, Entry, Revision, State, StoreError};

/// Diagnostics named in a status message; all of them are in its details.
const TOLD: usize = 50;

/// A refusal: every mistake, as text for a person and as [`wire::Refusal`] in the details for a program.
pub(super) fn refusal(diagnostics: &[Diagnostic]) -> Status {
    let mut lines: Vec<String> = diagnostics.iter().take(TOLD).map(ToString::to_string).collect();
    if diagnostics.len() > TOLD {
        lines.push(format!("… and {} more", diagnostics.len() - TOLD));
    }
    // HTTP/2 peers may refuse a header block this large; the text alone always fits.
    let details =
        wire::Refusal { diagnostics: diagnostics.iter().take(TOLD).map(convert::diagnostic).collect() };
    let text = truncated(lines.join("\n"), 3000);
    let details = details.encode_to_vec();
    let details = if details.len() <= 3000 { details } else { Vec::new() };
    Status::with_details(Code::InvalidArgument, text, details.into())
}

fn truncated(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        let end = (0..=bytes).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// What is stored cannot be read: an older control plane looks at a newer one's objects.
pub(super) fn unreadable(diagnostics: &[Diagnostic]) -> Status {
    let lines: Vec<String> = diagnostics.iter().take(TOLD).map(ToString::to_string).collect();
    let text = format!(
        "the store holds objects that this version cannot read; run the version that wrote them\n{}",
        lines.join("\n")
    );
    Status::data_loss(truncated(text, 3000))
}

/// The store's refusal, as the caller can act on it.
pub(super) fn store_error(error: &StoreError) -> Status {
    let code = match error {
        StoreError::Stale { .. } => Code::FailedPrecondition,
        StoreError::TooLarge { .. } => Code::InvalidArgument,
        StoreError::Compacted { .. } | StoreError::Future { .. } => Code::OutOfRange,
        StoreError::Full { .. } => Code::ResourceExhausted,
        StoreError::Damaged { .. } => Code::DataLoss,
        StoreError::NewerFormat { .. } | StoreError::Locked { .. } | StoreError::Io { .. } => {
            Code::Unavailable
        }
    };
    Status::new(code, error.to_string())
}

/// A reference on the wire.
pub(super) fn reference(id: &ObjectId) -> wire::ObjectRef {
    wire::ObjectRef {
        kind: id.kind.to_string(),
        namespace: id.name.namespace.clone(),
        name: id.name.name.clone(),
    }
}

/// What happened, or would happen, to an object.
pub(super) fn change(id: &ObjectId, before: Option<&Object>, after: Option<&Object>) -> wire::Change {
    use wire::change::Action;
    let action = match (before, after) {
        (None, Some(_)) => Action::Created,
        (Some(_), None) => Action::Deleted,
        (Some(before), Some(after)) if before != after => Action::Updated,
        _ => Action::Unchanged,
    };
    let yaml =
        |object: Option<&Object>| object.map(|object| weir_policy::to_yaml([object])).unwrap_or_default();
    wire::Change {
        action: action.into(),
        object: Some(reference(id)),
        before: yaml(before),
        after: yaml(after),
    }
}

/// A stored object.
pub(super) fn stored(entry: &Entry, revision: Revision) -> Result<wire::GetResponse, Status> {
    let object = Object::from_stored(&entry.value).map_err(|all| unreadable(&all))?;
    let typed = convert::from_json(object.to_json()).map_err(Status::internal)?;
    Ok(wire::GetResponse {
        object: Some(typed),
        manifest: weir_policy::to_yaml([&object]),
        created_revision: entry.created.0,
        modified_revision: entry.modified.0,
        revision: revision.0,
    })
}

/// A commit of the history. An object that this version cannot read is named, with its text left out.
pub(super) fn commit(commit: &Commit) -> wire::Commit {
    let changes = commit
        .changes
        .iter()
        .filter_map(|applied| bytes_change(&applied.key, &applied.before, &applied.after));
    wire::Commit {
        revision: commit.revision.0,
        author: commit.attribution.author.clone(),
        message: commit.attribution.message.clone(),
        time: rfc3339(commit.attribution.unix_millis),
        changes: changes.collect(),
        digest: commit.digest.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// Milliseconds of Unix time as RFC 3339 in UTC.
pub(crate) fn rfc3339(millis: u64) -> String {
    weir_policy::format_time(millis)
}

/// What changed between two states.
pub(super) fn differences(from: &State, to: &State) -> Vec<wire::Change> {
    let keys: std::collections::BTreeSet<&String> = from.entries.keys().chain(to.entries.keys()).collect();
    let value = |state: &State, key: &str| state.entries.get(key).map(|entry| Arc::clone(&entry.value));
    let changed = keys.into_iter().filter_map(|key| {
        let (before, after) = (value(from, key), value(to, key));
        if before == after { None } else { bytes_change(key, &before, &after) }
    });
    changed.collect()
}

fn bytes_change(key: &str, before: &Option<Arc<[u8]>>, after: &Option<Arc<[u8]>>) -> Option<wire::Change> {
    let object = |bytes: &Option<Arc<[u8]>>| bytes.as_ref().and_then(|bytes| Object::from_stored(bytes).ok());
    ObjectId::from_key(key).map(|id| change(&id, object(before).as_ref(), object(after).as_ref()))
}

/// The lines that went and came, each with `-` or `+` in front, with one line of what is around them.
pub(super) fn line_diff(before: &str, after: &str, most: usize) -> Vec<String> {
    let diff = similar::TextDiff::from_lines(before, after);
    let mut lines = Vec::new();
    for group in diff.grouped_ops(1) {
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            lines.push(format!("{}{}", change.tag(), change.value().trim_end_matches('\n')));
        }
    }
    if lines.len() > most {
        let more = lines.len() - most;
        lines.truncate(most);
        lines.push(format!(" … and {more} more lines"));
    }
    lines
}
