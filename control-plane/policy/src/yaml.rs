//! YAML documents.
//!
//! A manifest comes from outside: its size, its depth and what its aliases may unfold to are bounded before anything is kept.

use crate::decode::{Report, excerpt};
use crate::{Object, parse};
use serde_json::Value;
use std::collections::BTreeMap;
use weir_model::{Diagnostic, Severity, limits};

/// Nodes that aliases may unfold to in one manifest.
const UNFOLDED: usize = 100_000;

/// Reads every document of a YAML stream: what could be read, and everything there is to say of it. Nothing may be applied if one of
/// the diagnostics is an error. A `List` of Kubernetes stands for its items. JSON is YAML too.
pub fn parse_yaml(text: &str) -> (Vec<Object>, Vec<Diagnostic>) {
    let mut manifest = Manifest::default();
    if text.len() > limits::MANIFEST_BYTES {
        let message = format!("{} bytes, at most {} are read at once", text.len(), limits::MANIFEST_BYTES);
        manifest.say("manifest", "", message, "split it into several");
        return manifest.finish();
    }
    let mut bytes = text.as_bytes();
    let documents = serde_saphyr::read_with_options::<_, Value>(&mut bytes, options());
    for (index, document) in documents.enumerate() {
        let label = format!("document {}", index + 1);
        if manifest.stopped(&label) {
            break;
        }
        match document {
            Ok(value) => manifest.read(&value, &label),
            Err(error) => {
                let place =
                    error.location().map(|at| format!("line {}, column {}: ", at.line(), at.column()));
                let (what, mend) = reason(error.without_snippet());
                manifest.say(&label, "", format!("{}{what}", place.unwrap_or_default()), mend);
            }
        }
    }
    manifest.finish()
}

/// What is wrong with a document, and what to do about it.
fn reason(error: &serde_saphyr::Error) -> (String, &'static str) {
    use serde_saphyr::Error;
    use serde_saphyr::budget::BudgetBreach;
    match error {
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            (format!("the field {} is there twice", excerpt(&Value::from(key.as_str()))), "remove one")
        }
        Error::DuplicateMappingKey { key: None, .. } => ("a field is there twice".to_owned(), "remove one"),
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => {
            (format!("nested deeper than {} levels", limits::MANIFEST_DEPTH), "flatten it")
        }
        Error::Budget { .. } => ("the document is too large".to_owned(), "split it into several"),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. } => {
            ("its aliases unfold to too much".to_owned(), "write out what they stand for")
        }
        // The error of what an alias stands for.
        Error::AliasError { error, .. } => reason(error),
        other => {
            let text = other.to_string();
            let what = text.lines().next().unwrap_or_default();
            // The place was told already.
            let what = what.split(" at line ").next().unwrap_or_default();
            (format!("it is not YAML: {what}"), "mend the syntax")
        }
    }
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_reader_input_bytes: Some(limits::MANIFEST_BYTES),
            max_depth: limits::MANIFEST_DEPTH,
            max_nodes: 1_000_000,
            max_aliases: 10_000,
            max_anchors: 10_000,
            max_merge_keys: 1_000,
            max_total_scalar_bytes: limits::MANIFEST_BYTES,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: UNFOLDED,
            max_replay_stack_depth: 16,
        },
        // YAML 1.2: `on`, `y` and the like are text.
        strict_booleans: true,
        with_snippet: false,
    }
}

#[derive(Default)]
struct Manifest {
    objects: Vec<Object>,
    /// Where each object stood, to tell of its double.
    places: BTreeMap<crate::ObjectId, String>,
    found: Vec<Diagnostic>,
    errors: usize,
}

impl Manifest {
    /// Whether there are so many errors that reading on helps nobody.
    fn stopped(&mut self, label: &str) -> bool {
        let stopped = self.errors > limits::DIAGNOSTICS;
        if stopped {
            self.say(
                label,
                "",
                "reading stopped here, after too many errors".to_owned(),
                "mend those above first",
            );
        }
        stopped
    }

    fn extend(&mut self, found: Vec<Diagnostic>) {
        self.errors += found.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
        self.found.extend(found);
    }

    fn read(&mut self, value: &Value, label: &str) {
        if let (Some("List"), Some(Value::Array(items))) =
            (value.get("kind").and_then(Value::as_str), value.get("items"))
        {
            for (index, item) in items.iter().enumerate() {
                let label = format!("{label} items[{index}]");
                if self.stopped(&label) {
                    break;
                }
                self.read_one(item, &label);
            }
            return;
        }
        self.read_one(value, label);
    }

    fn read_one(&mut self, value: &Value, label: &str) {
        let (object, found) = parse::read(value, label);
        self.extend(found);
        let Some(object) = object else { return };
        if let Some(first) = self.places.insert(object.id.clone(), label.to_owned()) {
            let message = format!("it is there twice: {first} and {label}");
            self.say(&object.id.to_string(), "metadata.name", message, "remove one, or give it another name");
            return;
        }
        self.objects.push(object);
    }

    fn say(&mut self, resource: &str, field: &str, message: String, mend: &str) {
        let report = Report::new(resource);
        report.error(field, message, mend);
        self.extend(report.finish());
    }

    fn finish(self) -> (Vec<Object>, Vec<Diagnostic>) {
        (self.objects, crate::decode::bounded(self.found))
    }
}

/// The canonical form of objects as YAML, one document each.
pub fn to_yaml<'a>(objects: impl IntoIterator<Item = &'a Object>) -> String {
    let documents = objects.into_iter().map(|object| {
        let value = object.to_json();
        // JSON is YAML, so there is a good answer even to what cannot happen.
        let mut text = serde_saphyr::to_string(&value).unwrap_or_else(|_| value.to_string());
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text
    });
    documents.collect::<Vec<_>>().join("---\n")
}

#[cfg(test)]
mod tests;
