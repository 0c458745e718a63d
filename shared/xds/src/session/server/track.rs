//! What one client has of one type, as far as the server knows: accepted, refused, told to be absent, on its way.

use super::message::{Nack, ResourceStatus, ServerEvent};
use super::plan::is_complete;
use super::subscription::{Changed, Subscription};
use crate::encoded::{Encoded, EncodedSet};
use crate::session::{Protocol, SessionError, truncate};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use weir_model::{ResourceType, Version, limits};

/// A resource the client has.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// Its version; absent if the client named one that is none of ours.
    pub(super) version: Option<Version>,
    /// Its content; absent if the client brought it from another stream and it is not what it should have now.
    pub(super) content: Option<Arc<Encoded>>,
}

/// A response on its way, with what it changes.
#[derive(Debug)]
pub(super) struct Outstanding {
    pub(super) nonce: String,
    pub(super) upserts: Vec<Arc<Encoded>>,
    pub(super) removed: Vec<String>,
    /// Names given back meanwhile: whatever the answer is, the client counts as not having them.
    void: BTreeSet<String>,
    /// Names asked for again meanwhile: whatever the answer is, the client is told again.
    again: BTreeSet<String>,
}

/// Everything about one type on one stream.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) kind: ResourceType,
    protocol: Protocol,
    pub(super) subscription: Subscription,
    pub(super) held: BTreeMap<String, Held>,
    pub(super) nacks: BTreeMap<String, Nack>,
    /// Names the client was told do not exist.
    pub(super) absent: BTreeSet<String>,
    /// Names whose subscription changed since the last update: only the next one knows what they mean.
    pub(super) pending: BTreeSet<String>,
    pub(super) outstanding: Option<Outstanding>,
    /// Whether the present subscription was answered at all.
    pub(super) answered: bool,
    /// Whether the client may have resources from before this stream.
    pub(super) brought: bool,
    /// Whether it has listeners of which nobody knows what they refer to.
    pub(super) obscure: bool,
    /// Refused together, by an answer that does not say which of them: each is offered once more, alone.
    pub(super) suspects: BTreeSet<String>,
    /// The same where they cannot be told apart: all are offered again when one of them has changed.
    together: BTreeSet<String>,
}

impl Track {
    pub(super) fn new(kind: ResourceType, protocol: Protocol) -> Self {
        Self {
            kind,
            protocol,
            subscription: Subscription::new(kind),
            held: BTreeMap::new(),
            nacks: BTreeMap::new(),
            absent: BTreeSet::new(),
            pending: BTreeSet::new(),
            outstanding: None,
            answered: false,
            brought: false,
            obscure: false,
            suspects: BTreeSet::new(),
            together: BTreeSet::new(),
        }
    }

    /// Takes what the client asked for and gave back.
    pub(super) fn subscribed(&mut self, changed: &Changed) {
        for name in &changed.asked {
            self.resend(name);
            self.nacks.remove(name);
        }
        if self.kind == ResourceType::Listener {
            let left = changed.left.iter().filter(|_| self.subscription.is_wildcard());
            self.pending.extend(changed.new.iter().chain(left).cloned());
        }
        for name in &changed.left {
            if self.subscription.covers(name) {
                // `*` still covers it: the client is told whether it is meant for it anyway.
                self.resend(name);
            } else {
                self.forget(name);
                self.nacks.remove(name);
                self.pending.remove(name);
            }
        }
        if changed.wildcard || !changed.asked.is_empty() {
            self.answered = false;
        }
        if changed.wildcard && !self.subscription.is_wildcard() {
            let names = self.subscription.names();
            self.held.retain(|name, _| names.contains(name));
            self.nacks.retain(|name, _| names.contains(name));
        }
    }

    /// Takes what the client says it has, in its first request.
    pub(super) fn restore(&mut self, versions: HashMap<String, String>) -> Result<(), SessionError> {
        if versions.len() > limits::SUBSCRIPTION_NAMES {
            return Err(SessionError::TooManyNames(self.kind));
        }
        self.brought = !versions.is_empty();
        for (name, version) in versions {
            if name.len() > limits::NAME_BYTES {
                return Err(SessionError::NameTooLong(self.kind));
            }
            if self.subscription.covers(&name) {
                self.held.insert(name, Held { version: version.parse().ok(), content: None });
            }
        }
        Ok(())
    }

    /// The client has resources from before this stream and does not say which. What its listeners, and the routes it names, refer to is not
    /// known until they are replaced.
    pub(super) fn bring(&mut self) {
        self.brought = true;
        self.obscure = self.kind == ResourceType::Listener;
        if self.kind == ResourceType::Route {
            for name in self.subscription.names() {
                self.held.entry(name.clone()).or_insert(Held { version: None, content: None });
            }
        }
    }

    /// Says a name again, whatever the client has. What it has counts until then.
    fn resend(&mut self, name: &str) {
        if let Some(held) = self.held.get_mut(name) {
            held.version = None;
        }
        self.absent.remove(name);
        if let Some(outstanding) = &mut self.outstanding {
            outstanding.again.insert(name.to_owned());
        }
    }

    /// Acts as if the client did not have a name.
    pub(super) fn forget(&mut self, name: &str) {
        self.held.remove(name);
        self.absent.remove(name);
        self.suspects.remove(name);
        if let Some(outstanding) = &mut self.outstanding {
            outstanding.void.insert(name.to_owned());
        }
    }

    /// Takes a new set: what the client brought becomes known where it is what it should have.
    pub(super) fn updated(&mut self, set: &EncodedSet) {
        self.pending.clear();
        self.suspects.retain(|name| set.get(self.kind, name).is_some());
        self.settle(set);
    }

    /// Compares what the client has and refused with what it should have.
    pub(super) fn settle(&mut self, set: &EncodedSet) {
        self.resolve(set);
        let same = |name: &String| match (self.nacks.get(name), set.get(self.kind, name)) {
            (Some(nack), Some(wanted)) => nack.version == wanted.version,
            (None, _) | (_, None) => false,
        };
        if !self.together.iter().all(same) {
            self.nacks.retain(|name, _| !self.together.contains(name));
            self.together.clear();
        }
        // A refusal ends when what was there before is wanted again, or nothing is. An incremental client is told, so that it need not show a
        // refusal that is over.
        let delta = self.protocol == Protocol::Delta;
        // It may have an earlier version from before this stream, which is to go too.
        let earlier = self.brought && is_complete(self.kind);
        let mut over = vec![];
        self.nacks.retain(|name, _| {
            let held = self.held.get(name);
            match set.get(self.kind, name) {
                Some(wanted) if held.is_some_and(|held| held.version == Some(wanted.version)) => {
                    over.extend(delta.then(|| name.clone()));
                    false
                }
                Some(_) => true,
                None => held.is_some() || delta || earlier,
            }
        });
        for name in over {
            self.resend(&name);
        }
    }

    /// Finds the content of what the client says it has.
    fn resolve(&mut self, set: &EncodedSet) {
        for (name, held) in self.held.iter_mut().filter(|(_, held)| held.content.is_none()) {
            let wanted = set.get(self.kind, name);
            held.content = wanted.filter(|wanted| held.version == Some(wanted.version)).cloned();
        }
    }

    /// A response was given out.
    pub(super) fn sent(&mut self, nonce: String, upserts: Vec<Arc<Encoded>>, removed: Vec<String>) {
        self.answered = true;
        self.outstanding =
            Some(Outstanding { nonce, upserts, removed, void: BTreeSet::new(), again: BTreeSet::new() });
    }

    /// Takes the answer to the response on its way, if this is one. `error` is the text of a refusal.
    pub(super) fn answered_by(&mut self, nonce: &str, error: Option<String>) -> Vec<ServerEvent> {
        let Some(outstanding) = self.outstanding.take_if(|outstanding| outstanding.nonce == nonce) else {
            return vec![];
        };
        self.obscure &= error.is_some();
        let (mut upserts, mut refused, mut removed) = (outstanding.upserts, vec![], outstanding.removed);
        let mut text: Arc<str> = Arc::from("");
        let mut unnamed = false;
        if let Some(mut error) = error {
            truncate(&mut error, limits::NACK_TEXT_BYTES);
            (refused, upserts) = upserts.into_iter().partition(|upsert| names(&error, upsert.name()));
            if refused.is_empty() && !upserts.is_empty() {
                // It does not say which: then none of them can be counted on, nor what was to go with them.
                refused = std::mem::take(&mut upserts);
                removed.clear();
                unnamed = refused.len() > 1;
            }
            text = error.into();
        }
        let mut events = vec![];
        if !refused.is_empty() || !text.is_empty() {
            let resources = refused.iter().map(|upsert| upsert.name().to_owned()).collect();
            events.push(ServerEvent::Nacked {
                kind: self.kind,
                nonce: nonce.to_owned(),
                resources,
                text: text.clone(),
            });
        }
        // Leaving one out of everything would take its earlier version from a client that brought it.
        let kept = |upsert: &Arc<Encoded>| !self.brought || self.held.contains_key(upsert.name());
        let separable = self.protocol == Protocol::Delta || refused.iter().all(kept);
        let (suspects, refused) = if unnamed && separable { (refused, vec![]) } else { (vec![], refused) };
        self.suspects.extend(suspects.iter().map(|upsert| upsert.name().to_owned()));
        if unnamed {
            self.together.extend(refused.iter().map(|upsert| upsert.name().to_owned()));
        }
        for upsert in refused {
            self.suspects.remove(upsert.name());
            self.nacks.insert(upsert.name().to_owned(), Nack { version: upsert.version, text: text.clone() });
        }
        let mut resources: Vec<_> =
            upserts.iter().map(|it| (it.name().to_owned(), Some(it.version))).collect();
        resources.extend(removed.iter().map(|name| (name.clone(), None)));
        if !resources.is_empty() || events.is_empty() {
            events.push(ServerEvent::Acked { kind: self.kind, nonce: nonce.to_owned(), resources });
        }
        for upsert in upserts {
            let name = upsert.name();
            self.nacks.remove(name);
            self.suspects.remove(name);
            if self.subscription.covers(name) && !outstanding.void.contains(name) {
                let version = Some(upsert.version).filter(|_| !outstanding.again.contains(name));
                let held = Held { version, content: Some(upsert.clone()) };
                self.held.insert(name.to_owned(), held);
                self.absent.remove(name);
            }
        }
        for name in removed {
            if !outstanding.void.contains(&name) {
                self.held.remove(&name);
                self.nacks.remove(&name);
                if self.subscription.names().contains(&name) && !outstanding.again.contains(&name) {
                    self.absent.insert(name);
                }
            }
        }
        events
    }

    /// The version that the client has.
    pub(super) fn version(&self, name: &str) -> Option<Version> {
        self.held.get(name)?.version
    }

    /// Whether exactly this was refused.
    pub(super) fn refused(&self, wanted: &Encoded) -> bool {
        self.nacks.get(wanted.name()).is_some_and(|nack| nack.version == wanted.version)
    }

    /// Every resource of the type that is wanted, had or refused, in order of name.
    pub(super) fn status(&self, set: &EncodedSet) -> Vec<ResourceStatus> {
        let wanted = set.of(self.kind).map(|(name, _)| name).filter(|name| self.subscription.covers(name));
        let held = self.held.keys().map(String::as_str);
        let refused = self.nacks.keys().map(String::as_str);
        let names: BTreeSet<&str> = wanted.chain(held).chain(refused).collect();
        names.into_iter().map(|name| self.status_of(set, name)).collect()
    }

    fn status_of(&self, set: &EncodedSet, name: &str) -> ResourceStatus {
        let wanted =
            set.get(self.kind, name).filter(|_| self.subscription.covers(name)).map(|wanted| wanted.version);
        let acked = self.version(name);
        let nack = self.nacks.get(name).cloned();
        let on_its_way = self.outstanding.as_ref().and_then(|outstanding| {
            let upsert = outstanding.upserts.iter().find(|upsert| upsert.name() == name);
            let removed = || outstanding.removed.iter().any(|removed| removed == name).then_some(None);
            upsert.map(|upsert| Some(upsert.version)).or_else(removed)
        });
        let sent = on_its_way.unwrap_or_else(|| nack.as_ref().map(|nack| nack.version).or(acked));
        ResourceStatus { kind: self.kind, name: name.to_owned(), wanted, sent, acked, nack }
    }
}

/// Whether a refusal speaks of a name: as a word of its own, so that `a:80` is not found in `a:8080`, nor `a` in `a:80`.
fn names(text: &str, name: &str) -> bool {
    let part = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.' | '/');
    text.match_indices(name).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let mut after = text[start + name.len()..].chars();
        let ends = match after.next() {
            None => true,
            Some(':') => after.next().is_none_or(char::is_whitespace),
            Some('.') => after.next().is_none_or(|char| !part(char)),
            Some(char) => !part(char),
        };
        ends && before.is_none_or(|char| char != ':' && !part(char))
    })
}

#[cfg(test)]
mod tests;
