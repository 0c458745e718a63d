//! Reading JSON without stopping at the first mistake.
//!
//! A cursor, [`At`], stands at a value, knows the path that led to it and writes down what is wrong. Readers answer `None` for what cannot be
//! read; the caller goes on with the next field and gives up only when the whole object has been looked at. That is why this is not serde,
//! which stops at the first error and does not say where.

mod report;
mod words;

pub(crate) use report::{Report, bounded};
pub(crate) use words::{excerpt, list, suggestion};

use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// The fields an object may have.
#[derive(Clone, Copy)]
pub(crate) struct Schema {
    /// Those that are read.
    pub(crate) known: &'static [&'static str],
    /// Those that exist in the API this follows and are refused, so that nobody believes they work; each with what to do instead.
    pub(crate) later: &'static [(&'static str, &'static str)],
    /// Those that others write and that mean nothing to a mesh.
    pub(crate) ignored: &'static [&'static str],
}

impl Schema {
    /// An object with these fields and no others.
    pub(crate) const fn of(known: &'static [&'static str]) -> Self {
        Self { known, later: &[], ignored: &[] }
    }
}

/// A value, where it is, and where to report.
#[derive(Clone)]
pub(crate) struct At<'a> {
    value: &'a Value,
    path: String,
    report: &'a Report,
}

impl<'a> At<'a> {
    /// The root of a document.
    pub(crate) fn root(value: &'a Value, report: &'a Report) -> Self {
        Self { value, path: String::new(), report }
    }

    /// The value itself.
    pub(crate) fn value(&self) -> &'a Value {
        self.value
    }

    /// Reports an error here.
    pub(crate) fn error(&self, message: impl Into<String>, mend: impl Into<String>) {
        self.report.error(&self.path, message, mend);
    }

    /// Reports a warning here.
    pub(crate) fn warning(&self, message: impl Into<String>, mend: impl Into<String>) {
        self.report.warning(&self.path, message, mend);
    }

    /// Reports a note here.
    pub(crate) fn note(&self, message: impl Into<String>, mend: impl Into<String>) {
        self.report.note(&self.path, message, mend);
    }

    fn wrong_type(&self, expected: &str) {
        self.error(
            format!("expected {expected}, found {}", excerpt(self.value)),
            format!("write {expected}"),
        );
    }

    /// An object with the fields of `schema`; the rest is reported.
    pub(crate) fn object(&self, schema: &Schema) -> Option<Fields<'a>> {
        let Value::Object(map) = self.value else {
            self.wrong_type("an object");
            return None;
        };
        let fields = Fields { map, at: self.clone() };
        for (name, value) in map {
            let name = name.as_str();
            if schema.known.contains(&name) || schema.ignored.contains(&name) || value.is_null() {
                continue;
            }
            if self.report.is_full() {
                self.error("", "");
                continue;
            }
            let at = fields.at(name, value);
            match schema.later.iter().find(|(later, _)| *later == name) {
                Some((_, mend)) => at.error(format!("{name} is not supported yet"), *mend),
                None => at.unknown(name, schema.known),
            }
        }
        Some(fields)
    }

    fn unknown(&self, name: &str, known: &[&str]) {
        let mend = match suggestion(name, known) {
            Some(similar) => format!("did you mean {similar}?"),
            None => format!("remove it; the fields here are {}", list(known)),
        };
        self.error(format!("there is no field {}", excerpt(&Value::from(name))), mend);
    }

    /// The elements of a list of a certain length.
    pub(crate) fn list(&self, length: RangeInclusive<usize>) -> Option<Vec<At<'a>>> {
        let Value::Array(elements) = self.value else {
            self.wrong_type("a list");
            return None;
        };
        if elements.len() > *length.end() {
            let (most, found) = (length.end(), elements.len());
            self.error(format!("{found} elements, at most {most} are allowed"), "split it");
            return None;
        }
        if elements.len() < *length.start() {
            self.error("the list is empty", "add an element");
            return None;
        }
        Some(elements.iter().enumerate().map(|(index, value)| self.element(index, value)).collect())
    }

    fn element(&self, index: usize, value: &'a Value) -> At<'a> {
        At { value, path: format!("{}[{index}]", self.path), report: self.report }
    }

    /// Text, possibly empty.
    pub(crate) fn text(&self) -> Option<&'a str> {
        match self.value {
            Value::String(text) => Some(text),
            Value::Number(_) | Value::Bool(_) => {
                let found = excerpt(self.value);
                self.error(format!("expected text, found {found}"), format!("put it in quotes: \"{found}\""));
                None
            }
            _ => {
                self.wrong_type("text");
                None
            }
        }
    }

    /// An integer in a range.
    pub(crate) fn integer(&self, range: RangeInclusive<i64>) -> Option<i64> {
        let (least, most) = (range.start(), range.end());
        let Value::Number(number) = self.value else {
            self.wrong_type(&format!("an integer from {least} to {most}"));
            return None;
        };
        // A float without a fraction is how some writers of JSON say an integer.
        let integer = number.as_i64().or_else(|| {
            number
                .as_f64()
                .filter(|float| float.fract() == 0.0 && float.abs() < 9e15)
                .map(|float| float as i64)
        });
        match integer {
            Some(integer) if range.contains(&integer) => Some(integer),
            _ => {
                self.error(
                    format!("{number} is not an integer from {least} to {most}"),
                    format!("write one from {least} to {most}"),
                );
                None
            }
        }
    }

    /// A port number.
    pub(crate) fn port(&self) -> Option<u16> {
        u16::try_from(self.integer(1..=65_535)?).ok()
    }

    /// An integer that fits in `u32`.
    pub(crate) fn count(&self, range: RangeInclusive<u32>) -> Option<u32> {
        u32::try_from(self.integer(i64::from(*range.start())..=i64::from(*range.end()))?).ok()
    }

    /// One of some words.
    pub(crate) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            self.not_one_of(text, &names);
        }
        found.map(|(_, value)| *value)
    }

    /// Reports a word that is none of those allowed.
    pub(crate) fn not_one_of(&self, text: &str, words: &[&str]) {
        let mend = match suggestion(text, words) {
            Some(similar) => format!("did you mean {similar}?"),
            None => format!("write one of {}", list(words)),
        };
        self.error(format!("{} is not allowed here", excerpt(&Value::from(text))), mend);
    }

    /// Text by text, each key and value checked.
    pub(crate) fn texts(&self, check: impl Fn(&At<'a>, &str, &str)) -> Option<BTreeMap<String, String>> {
        let mut texts = BTreeMap::new();
        for (name, at) in self.entries()? {
            if let Some(text) = at.text() {
                check(&at, name, text);
                texts.insert(name.to_owned(), text.to_owned());
            }
        }
        Some(texts)
    }

    /// The entries of an object whose field names are data.
    pub(crate) fn entries(&self) -> Option<Vec<(&'a str, At<'a>)>> {
        let Value::Object(map) = self.value else {
            self.wrong_type("an object");
            return None;
        };
        let at = |name: &'a String, value| At { value, path: joined(&self.path, name), report: self.report };
        Some(map.iter().map(|(name, value)| (name.as_str(), at(name, value))).collect())
    }
}

/// An object and its fields.
pub(crate) struct Fields<'a> {
    map: &'a Map<String, Value>,
    at: At<'a>,
}

impl<'a> Fields<'a> {
    /// The object itself.
    pub(crate) fn here(&self) -> &At<'a> {
        &self.at
    }

    fn at(&self, name: &str, value: &'a Value) -> At<'a> {
        At { value, path: joined(&self.at.path, name), report: self.at.report }
    }

    /// A field; `null` is the same as nothing.
    pub(crate) fn get(&self, name: &str) -> Option<At<'a>> {
        self.map.get(name).filter(|value| !value.is_null()).map(|value| self.at(name, value))
    }

    /// A field of text; empty text is the same as nothing, as Kubernetes has it.
    pub(crate) fn get_text(&self, name: &str) -> Option<(At<'a>, &'a str)> {
        let at = self.get(name)?;
        let text = at.text()?;
        (!text.is_empty()).then_some((at, text))
    }

    /// A field that must be there.
    pub(crate) fn required(&self, name: &str, mend: &str) -> Option<At<'a>> {
        let found = self.get(name);
        if found.is_none() {
            self.missing(name, mend);
        }
        found
    }

    /// A field of text that must be there and not be empty.
    pub(crate) fn required_text(&self, name: &str, mend: &str) -> Option<(At<'a>, &'a str)> {
        let at = self.required(name, mend)?;
        let text = at.text()?;
        if text.is_empty() {
            at.error("it is empty", mend);
            return None;
        }
        Some((at, text))
    }

    fn missing(&self, name: &str, mend: &str) {
        let path = joined(&self.at.path, name);
        self.at.report.error(&path, "it is missing", mend);
    }
}

/// `spec.rules`, or `metadata.labels["example.com/a"]` where a name is not a word.
fn joined(path: &str, name: &str) -> String {
    let plain = !name.is_empty()
        && name.len() <= 64
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    match (path.is_empty(), plain) {
        (true, true) => name.to_owned(),
        (false, true) => format!("{path}.{name}"),
        (_, false) => format!("{path}[{}]", excerpt(&Value::from(name))),
    }
}

#[cfg(test)]
mod tests;
