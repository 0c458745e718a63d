//! Which virtual host an authority means: an exact domain, else the longest wildcard that ends it, else `*`.

use super::{RouteError, hashing::Table};
use crate::authority;
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
    /// `*`.
    any: Option<usize>,
}

impl Names {
    pub(super) fn compile(configuration: &RouteConfiguration) -> Result<Self, RouteError> {
        let mut names = Names::default();
        for (index, host) in configuration.virtual_hosts.iter().enumerate() {
            for (position, domain) in host.domains.iter().enumerate() {
                names.insert(domain, index).map_err(|message| {
                    RouteError::new(format!("virtual_hosts[{index}].domains[{position}]"), message)
                })?;
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
            None if !name.is_empty() && !name.contains('*') => self.exact.insert(name.into(), index),
            _ => {
                let forms = "must be host, host:port, *.suffix or *";
                return Err(format!("{domain:?} {forms}; a star stands for whole leading labels only"));
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
        if self.exact.is_empty() && self.wildcards.is_empty() {
            return self.any;
        }
        let name = authority::normalize(authority);
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

#[cfg(test)]
mod tests;
