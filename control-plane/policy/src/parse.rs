//! JSON → objects and back.

use crate::Object;
use serde_json::Value;
use weir_model::Diagnostic;

/// Reads one object. `label` names it in diagnostics as long as it has not said its own kind and name.
pub fn parse_value(_value: Value, label: &str) -> Result<Object, Vec<Diagnostic>> {
    let _ = label;
    Err(Vec::new())
}

pub(crate) fn to_json(_object: &Object) -> Value {
    Value::Null
}

pub(crate) fn from_stored(_bytes: &[u8]) -> Result<Object, Vec<Diagnostic>> {
    Err(Vec::new())
}
