//! What is wrong with a message and where. The path is put together on the way out, so a good message pays nothing for it.

/// A fault and the path to it, from where it is looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Fault {
    pub(crate) path: String,
    pub(crate) message: String,
}

/// A value, or what is wrong with the message it was to come from.
pub(crate) type Check<T> = Result<T, Fault>;

impl Fault {
    /// A fault of the message itself.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { path: String::new(), message: message.into() }
    }

    /// A fault of a field.
    pub(crate) fn of(field: &str, message: impl Into<String>) -> Self {
        Self { path: field.to_owned(), message: message.into() }
    }

    /// A field that weir has no meaning for, and that would change what happens if it were ignored.
    pub(crate) fn unsupported(field: &str) -> Self {
        Self::of(field.trim_start_matches("r#"), "not supported by weir; leave it unset")
    }

    /// The same fault, seen from the message that holds this field.
    pub(crate) fn within(mut self, field: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{field}{dot}{}", self.path);
        self
    }
}

/// Says of a result in which field it was found.
pub(crate) trait At<T> {
    /// In a field.
    fn at(self, field: &str) -> Check<T>;
    /// In an entry of a repeated field.
    fn at_index(self, field: &str, index: usize) -> Check<T>;
}

impl<T> At<T> for Check<T> {
    fn at(self, field: &str) -> Check<T> {
        self.map_err(|fault| fault.within(field))
    }

    fn at_index(self, field: &str, index: usize) -> Check<T> {
        self.map_err(|fault| fault.within(&format!("{field}[{index}]")))
    }
}

/// Decodes every entry of a repeated field.
pub(crate) fn each<M, T>(
    field: &str,
    entries: &[M],
    limit: usize,
    decode: impl Fn(&M) -> Check<T>,
) -> Check<Vec<T>> {
    if entries.len() > limit {
        return Err(Fault::of(field, format!("{} entries, at most {limit} are taken", entries.len())));
    }
    entries.iter().enumerate().map(|(index, entry)| decode(entry).at_index(field, index)).collect()
}

/// A field that must be there.
pub(crate) fn required<'a, T>(field: &str, value: Option<&'a T>) -> Check<&'a T> {
    value.ok_or_else(|| Fault::of(field, "missing"))
}

/// Whether a protobuf field has another value than its default.
pub(crate) fn is_set<T: Default + PartialEq>(value: &T) -> bool {
    *value != T::default()
}

/// Returns a fault if one of these fields is set.
macro_rules! refuse {
    ($message:expr; $($field:ident),+ $(,)?) => {
        $(if $crate::codec::fault::is_set(&$message.$field) {
            return Err($crate::codec::fault::Fault::unsupported(stringify!($field)));
        })+
    };
}
pub(crate) use refuse;
