//! Which virtual host an authority means: an exact domain, else the longest wildcard that ends it, else the longest that begins it, else `*`.

use super::{RouteError, hashing::Table};
use crate::authority;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use weir_model::RouteConfiguration;

/// The domains of a route configuration.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// `host` and `host:port`.
    exact: Table<Box<str>, usize>,
    /// `*.suffix` without the star.
    wildcards: Table<Box<str>, usize>,
    /// The longest key of `wildcards`: no more of an authority than that is ever looked at.
    longest: usize,
    /// Wildcards that do not stand for whole leading labels.
    odd: Option<Box<Odd>>,
    /// Whether an authority's port is left out.
    ignore_port: bool,
    /// `*`.
    any: Option<usize>,
}

/// Wildcards that few configurations have; no policy of weir's.
#[derive(Debug, Default)]
struct Odd {
    /// All suffixes, those that begin with a dot too.
    suffixes: Affixes,
    /// `prefix*` without the star.
    prefixes: Affixes,
}

/// Texts that a name begins or ends with.
#[derive(Debug, Default)]
struct Affixes {
    hosts: Table<Box<str>, usize>,
    /// The lengths of those texts, the longest first.
    lengths: BTreeSet<Reverse<usize>>,
}

impl Affixes {
    fn insert(&mut self, affix: &str, index: usize) -> Option<usize> {
        self.lengths.insert(Reverse(affix.len()));
        self.hosts.insert(affix.into(), index)
    }

    /// The host of the longest one that is the part of a name which `cut` makes of its length, and leaves something for the star.
    fn longest<'a>(&self, name: &'a str, cut: impl Fn(&'a str, usize) -> Option<&'a str>) -> Option<usize> {
        let shorter =
            self.lengths.range(Reverse(name.len())..).filter(|Reverse(length)| *length < name.len());
        shorter.map(|Reverse(length)| *length).find_map(|length| self.hosts.get(cut(name, length)?).copied())
    }
}

impl Names {
    pub(super) fn compile(configuration: &RouteConfiguration) -> Result<Self, RouteError> {
        let ignore_port = configuration.options.as_ref().is_some_and(|options| options.ignore_port);
        let mut names = Names { ignore_port, ..Names::default() };
        for (index, host) in configuration.virtual_hosts.iter().enumerate() {
            for (position, domain) in host.domains.iter().enumerate() {
                names.insert(domain, index).map_err(|message| {
                    RouteError::new(format!("virtual_hosts[{index}].domains[{position}]"), message)
                })?;
            }
        }
        if let Some(odd) = &mut names.odd {
            for (suffix, index) in &names.wildcards {
                odd.suffixes.insert(suffix, *index);
            }
        }
        Ok(names)
    }

    fn insert(&mut self, domain: &str, index: usize) -> Result<(), String> {
        let name = authority::normalize(domain);
        let earlier = match name.strip_prefix('*') {
            Some("") if domain == "*" => self.any.replace(index),
            Some(suffix) if suffix.starts_with('.') && suffix.len() > 1 && !suffix.contains('*') => {
                self.longest = self.longest.max(suffix.len());
                self.wildcards.insert(suffix.into(), index)
            }
            Some(suffix) if !suffix.is_empty() && suffix != "." && !suffix.contains('*') => {
                self.odd.get_or_insert_default().suffixes.insert(suffix, index)
            }
            None if !name.is_empty() && !name.contains('*') => self.exact.insert(name.into(), index),
            None if name.len() > 1 && name.find('*') == Some(name.len() - 1) => {
                self.odd.get_or_insert_default().prefixes.insert(&name[..name.len() - 1], index)
            }
            _ => {
                let forms = "must be host, host:port, *suffix, prefix* or *";
                return Err(format!(
                    "{domain:?} {forms}; there is one star at most, at the beginning or the end"
                ));
            }
        };
        match earlier {
            Some(earlier) => Err(format!(
                "{domain:?} is already a domain of virtual_hosts[{earlier}]; give each domain to one virtual host"
            )),
            None => Ok(()),
        }
    }

    /// The virtual host of an authority. Its port is part of it, as Envoy has it: `a:80` is not `a`, nor is it `*.b` for some `b`.
    pub(super) fn find(&self, authority: &str) -> Option<usize> {
        if self.exact.is_empty() && self.wildcards.is_empty() && self.odd.is_none() {
            return self.any;
        }
        let authority = if self.ignore_port { authority::host(authority) } else { authority };
        let name = authority::normalize(authority);
        if let Some(odd) = &self.odd {
            return odd.find(&name, &self.exact).or(self.any);
        }
        self.exact.get(&*name).copied().or_else(|| self.wildcard(&name)).or(self.any)
    }

    /// The longest wildcard that ends a name and leaves something for the star.
    fn wildcard(&self, name: &str) -> Option<usize> {
        if self.wildcards.is_empty() {
            return None;
        }
        let from = name.len().saturating_sub(self.longest).max(1);
        let dots = name.bytes().enumerate().skip(from).filter(|(_, byte)| *byte == b'.');
        dots.map(|(at, _)| at).find_map(|at| self.wildcards.get(&name[at..]).copied())
    }
}

impl Odd {
    /// The virtual host of a name that is in order: exact, by the longest suffix, by the longest prefix.
    fn find(&self, name: &str, exact: &Table<Box<str>, usize>) -> Option<usize> {
        let suffix = || self.suffixes.longest(name, |name, length| name.get(name.len() - length..));
        let prefix = || self.prefixes.longest(name, |name, length| name.get(..length));
        exact.get(name).copied().or_else(suffix).or_else(prefix)
    }
}

#[cfg(test)]
mod tests;
