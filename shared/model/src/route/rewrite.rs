//! What a request's target looks like upstream.

use super::HeaderName;

/// Changes to a request's target.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Rewrite {
    /// The authority sent upstream; as received if absent.
    pub host: Option<String>,
    /// The path sent upstream; as received if absent.
    pub path: Option<PathRewrite>,
    /// What no policy says of the authority, and other control planes do.
    pub more: Option<Box<HostRewrite>>,
}

/// What few routes say of the authority that is sent upstream.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct HostRewrite {
    /// Where it comes from, if it is not [`Rewrite::host`].
    pub source: Option<HostSource>,
    /// Whether the one it replaces is appended to `X-Forwarded-Host`, where that does not end in it.
    pub forwarded: bool,
}

/// Where the authority that is sent upstream comes from.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum HostSource {
    /// The first field of this name, if it is there and not empty.
    Header(HeaderName),
    /// The path, in which each match of an expression is replaced.
    Path(Substitution),
    /// The host name of the endpoint, if it has one.
    Endpoint,
}

/// A change of the path; the query stays.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum PathRewrite {
    /// This path instead.
    Full(String),
    /// This instead of the prefix that matched (Gateway API `ReplacePrefixMatch`: no doubled or lost slash). Without trailing slash, or `/`.
    Prefix(String),
    /// This instead of the characters that matched, whatever comes of it (Envoy's `prefix_rewrite`).
    Characters(String),
    /// The path with each match of an expression replaced (Envoy's `regex_rewrite`; no policy says this).
    Substitute(Box<Substitution>),
}

/// Each match of an expression in a text is replaced (RE2's `GlobalReplace`).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Substitution {
    /// The expression (RE2 syntax).
    pub pattern: String,
    /// What comes in place of a match: `\1` to `\9` are the groups of the expression, `\0` is the match, `\\` a backslash.
    pub replacement: String,
}
