//! Which requests have a line in a log: Envoy's filters of access logs, as far as they can be told from what a line is made of.

use crate::{Fraction, HeaderName};

/// A condition on a request that is over.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum LogFilter {
    /// On the status of its response; 0 if there was none.
    Status(Comparison, u32),
    /// On how long it took, in milliseconds.
    Duration(Comparison, u32),
    /// Only this share of the requests.
    Share(Fraction),
    /// It has one of these response flags; any if empty.
    Flags(Vec<String>),
    /// Whether its trace is recorded.
    Traced,
    /// On a request field as the caller sent it.
    Header {
        /// The field.
        name: HeaderName,
        /// Its value; any if absent.
        exact: Option<String>,
        /// The condition holds where it otherwise would not.
        inverted: bool,
    },
    /// All of these.
    All(Vec<LogFilter>),
    /// One of these.
    Any(Vec<LogFilter>),
    /// It is no health check that this proxy answers; there are none.
    Always,
}

/// How two numbers are to be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Comparison {
    /// Equal.
    Equal,
    /// At least.
    AtLeast,
    /// At most.
    AtMost,
    /// Not equal.
    Unequal,
}

impl Comparison {
    /// Whether a number is so beside the one that is named.
    pub fn holds(self, number: u64, named: u32) -> bool {
        let named = u64::from(named);
        match self {
            Comparison::Equal => number == named,
            Comparison::AtLeast => number >= named,
            Comparison::AtMost => number <= named,
            Comparison::Unequal => number != named,
        }
    }
}

impl LogFilter {
    /// The request fields that it looks at.
    pub fn fields(&self) -> Vec<&HeaderName> {
        match self {
            LogFilter::Header { name, .. } => vec![name],
            LogFilter::All(filters) | LogFilter::Any(filters) => {
                filters.iter().flat_map(LogFilter::fields).collect()
            }
            _ => Vec::new(),
        }
    }
}
