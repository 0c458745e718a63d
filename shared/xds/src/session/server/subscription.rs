//! Which names of one type a client asked for.
//!
//! `*` asks for everything that is meant for the node. A client that says nothing in its first request about listeners or clusters means
//! that as well (the legacy wildcard), and goes on meaning it until it names something.

use crate::session::SessionError;
use std::collections::BTreeSet;
use weir_model::{ResourceType, limits};

const EVERYTHING: &str = "*";

/// What one client asked for of one type.
#[derive(Debug)]
pub(super) struct Subscription {
    kind: ResourceType,
    /// Whether any request of this type came.
    pub(super) open: bool,
    wildcard: bool,
    /// Whether the client ever named something: then saying nothing means nothing.
    explicit: bool,
    names: BTreeSet<String>,
}

/// How a request changed a subscription.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changed {
    /// Names asked for, again or for the first time.
    pub(super) asked: Vec<String>,
    /// Those of them that were not subscribed to before.
    pub(super) new: Vec<String>,
    /// Names given back.
    pub(super) left: Vec<String>,
    /// Whether `*` came or went.
    pub(super) wildcard: bool,
}

impl Changed {
    /// Whether the set of names is another one now.
    pub(super) fn any(&self) -> bool {
        self.wildcard || !self.new.is_empty() || !self.left.is_empty()
    }
}

impl Subscription {
    pub(super) fn new(kind: ResourceType) -> Self {
        Self { kind, open: false, wildcard: false, explicit: false, names: BTreeSet::new() }
    }

    /// Whether the client wants to know of a name.
    pub(super) fn covers(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    pub(super) fn is_wildcard(&self) -> bool {
        self.wildcard
    }

    /// The names asked for one by one.
    pub(super) fn names(&self) -> &BTreeSet<String> {
        &self.names
    }

    /// Takes the whole list of names of a state-of-the-world request.
    pub(super) fn replace(&mut self, names: Vec<String>) -> Result<Changed, SessionError> {
        self.check(&names, 0)?;
        let first = !std::mem::replace(&mut self.open, true);
        if names.is_empty() && !self.explicit {
            let wildcard = first && self.has_wildcard();
            self.wildcard |= wildcard;
            return Ok(Changed { wildcard, ..Changed::default() });
        }
        self.explicit = true;
        let mut names: BTreeSet<String> = names.into_iter().collect();
        let wildcard = names.remove(EVERYTHING) && self.has_wildcard();
        let new: Vec<String> = names.difference(&self.names).cloned().collect();
        let changed = Changed {
            asked: new.clone(),
            new,
            left: self.names.difference(&names).cloned().collect(),
            wildcard: wildcard != self.wildcard,
        };
        (self.names, self.wildcard) = (names, wildcard);
        Ok(changed)
    }

    /// Takes what an incremental request adds and gives back.
    pub(super) fn change(
        &mut self,
        subscribe: Vec<String>,
        unsubscribe: Vec<String>,
    ) -> Result<Changed, SessionError> {
        self.check(&subscribe, self.names.len())?;
        let first = !std::mem::replace(&mut self.open, true);
        let mut changed = Changed::default();
        if first && subscribe.is_empty() && self.has_wildcard() {
            (self.wildcard, changed.wildcard) = (true, true);
        }
        for name in subscribe {
            if name == EVERYTHING {
                changed.wildcard |= self.has_wildcard() && !std::mem::replace(&mut self.wildcard, true);
            } else {
                if self.names.insert(name.clone()) {
                    changed.new.push(name.clone());
                }
                changed.asked.push(name);
            }
        }
        for name in unsubscribe {
            if name == EVERYTHING {
                changed.wildcard |= std::mem::replace(&mut self.wildcard, false);
            } else if self.names.remove(&name) {
                changed.left.push(name);
            }
        }
        Ok(changed)
    }

    /// Routes and endpoints are only ever asked for by name.
    fn has_wildcard(&self) -> bool {
        matches!(self.kind, ResourceType::Listener | ResourceType::Cluster)
    }

    fn check(&self, names: &[String], already: usize) -> Result<(), SessionError> {
        if names.len().saturating_add(already) > limits::SUBSCRIPTION_NAMES {
            return Err(SessionError::TooManyNames(self.kind));
        }
        if names.iter().any(|name| name.len() > limits::NAME_BYTES) {
            return Err(SessionError::NameTooLong(self.kind));
        }
        Ok(())
    }
}
