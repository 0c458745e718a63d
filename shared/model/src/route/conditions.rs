//! Conditions that few routes have: no policy says them, other control planes do.

use super::StringMatch;
use crate::access_log::LogField;

/// What few routes ask of a request besides; all of it must hold.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct MoreConditions {
    /// Letters of either case are the same in the path (ASCII); not where an expression matches it.
    pub ignore_case: bool,
    /// Only requests whose content is gRPC's.
    pub grpc: bool,
    /// On fields of the head.
    pub fields: Vec<FieldCondition>,
    /// Query parameters that must not be there.
    pub absent_query: Vec<String>,
    /// On cookies.
    pub cookies: Vec<CookieCondition>,
}

/// A condition on a field of the head, as Envoy has it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FieldCondition {
    /// The field, or the part of the head that HTTP/2 has as one.
    pub field: LogField,
    /// What is asked of it.
    pub value: ValueCondition,
    /// It holds where it otherwise would not.
    pub invert: bool,
    /// Where there is none of its name, an empty one is looked at; else it does not hold there, inverted or not.
    pub missing_is_empty: bool,
}

/// What is asked of a field.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum ValueCondition {
    /// A text.
    Text(StringMatch),
    /// A whole number in decimal, from the first to below the second.
    Range(i64, i64),
    /// That it is not there.
    Absent,
}

/// A condition on a cookie of the request.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct CookieCondition {
    /// The cookie.
    pub name: String,
    /// Its value.
    pub value: StringMatch,
    /// It holds where it otherwise would not, also where there is no such cookie.
    pub invert: bool,
}

impl MoreConditions {
    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
