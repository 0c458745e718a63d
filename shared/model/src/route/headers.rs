//! Changes to header fields: as the Gateway API has them, and as Envoy has them.

use super::{HeaderName, HeaderValue};
use crate::access_log::Template;

/// Changes to header fields: set, then add, then remove (Gateway API `HTTPHeaderFilter`), then what other control planes say besides.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct HeaderMutation {
    /// Replace all fields of the name by one.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Append a field.
    pub add: Vec<(HeaderName, HeaderValue)>,
    /// Remove all fields of the name.
    pub remove: Vec<HeaderName>,
    /// What the three above cannot say; no policy does.
    pub edits: Option<Box<HeaderEdits>>,
}

/// Changes to header fields in Envoy's order: fields are removed; then all values are made, of what there is then; then those are written that
/// take the place of others, then those that are added.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct HeaderEdits {
    /// Remove all fields of the name.
    pub remove: Vec<HeaderName>,
    /// Write a field.
    pub write: Vec<HeaderEdit>,
}

/// A header field to write.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HeaderEdit {
    /// The field.
    pub name: HeaderName,
    /// What to write.
    pub value: EditValue,
    /// Where to write it.
    pub action: EditAction,
}

/// The value of a header field to write.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum EditValue {
    /// This.
    Literal(HeaderValue),
    /// What is made of this for each request, with at least one operator in it. What an operator has no value for is empty.
    Template {
        /// The text.
        template: Template,
        /// Whether it is written where nothing comes of it.
        keep_empty: bool,
    },
}

/// Where a header field is written (Envoy's `HeaderAppendAction`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum EditAction {
    /// Beside those of its name.
    Append,
    /// Only if there is none of its name.
    AddIfAbsent,
    /// In place of those of its name, if there are any.
    OverwriteIfExists,
    /// In place of those of its name.
    Overwrite,
}

/// Changes to the header fields of requests and of their responses.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct HeaderChanges {
    /// To requests.
    pub request: HeaderMutation,
    /// To responses.
    pub response: HeaderMutation,
}

impl HeaderMutation {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty() && self.edits.is_none()
    }
}

impl HeaderChanges {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.request.is_empty() && self.response.is_empty()
    }
}
