//! Conditions outside a route's match: header fields of a retry policy or a fault, origins of a CORS policy.

use super::RouteError;
use super::condition::Value;
use super::pattern::Library;
use http::{HeaderMap, HeaderName};
use weir_model::{HeaderMatch, StringMatch};

/// Compiles conditions on header fields. What one compiler is given shares its tables, and all of them together stay within
/// [`weir_model::limits::REGEX_MEMORY_TOTAL`].
#[derive(Debug, Default)]
pub struct FieldCompiler {
    library: Library,
}

/// Conditions of which one is enough.
#[derive(Debug, Default)]
pub struct AnyField {
    conditions: Box<[(HeaderName, Value)]>,
}

impl FieldCompiler {
    /// Compiles a list of conditions; `field` names the list in an error.
    ///
    /// # Errors
    ///
    /// With the first regular expression that cannot be compiled.
    pub fn any(&mut self, matches: &[HeaderMatch], field: &str) -> Result<AnyField, RouteError> {
        let compiled = matches.iter().enumerate().map(|(index, condition)| {
            let value = Value::compile(&condition.value, &mut self.library)
                .map_err(|error| RouteError::new(format!("{field}[{index}]"), error.to_string()))?;
            Ok((condition.name.clone(), value))
        });
        Ok(AnyField { conditions: compiled.collect::<Result<_, RouteError>>()? })
    }
}

/// Conditions all of which must hold.
#[derive(Debug, Default)]
pub struct AllFields {
    conditions: Box<[(HeaderName, Value)]>,
}

/// Conditions on a text, of which one is enough.
#[derive(Debug, Default)]
pub struct AnyText {
    conditions: Box<[Value]>,
}

impl FieldCompiler {
    /// Compiles a list of conditions of which all must hold; `field` names the list in an error.
    ///
    /// # Errors
    ///
    /// With the first regular expression that cannot be compiled.
    pub fn all(&mut self, matches: &[HeaderMatch], field: &str) -> Result<AllFields, RouteError> {
        self.any(matches, field).map(|any| AllFields { conditions: any.conditions })
    }

    /// Compiles a list of conditions on a text; `field` names the list in an error.
    ///
    /// # Errors
    ///
    /// With the first regular expression that cannot be compiled.
    pub fn texts(&mut self, matches: &[StringMatch], field: &str) -> Result<AnyText, RouteError> {
        let compiled = matches.iter().enumerate().map(|(index, condition)| {
            Value::compile(condition, &mut self.library)
                .map_err(|error| RouteError::new(format!("{field}[{index}]"), error.to_string()))
        });
        Ok(AnyText { conditions: compiled.collect::<Result<_, RouteError>>()? })
    }
}

impl AllFields {
    /// Whether all of the conditions hold; so it is where there are none.
    pub fn hold(&self, headers: &HeaderMap) -> bool {
        self.conditions.iter().all(|(name, value)| value.holds_in(headers, name))
    }
}

impl AnyText {
    /// Whether one of the conditions holds.
    pub fn holds(&self, text: &[u8]) -> bool {
        self.conditions.iter().any(|value| value.holds(text))
    }
}

impl AnyField {
    /// Whether there is no condition at all.
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }

    /// Whether one of the conditions holds.
    pub fn holds(&self, headers: &HeaderMap) -> bool {
        self.conditions.iter().any(|(name, value)| value.holds_in(headers, name))
    }
}

#[cfg(test)]
mod tests;
