//! Names that requests use and the control plane is asked for (outbound on demand).
//!
//! A worker that meets an unknown authority says so through [`Demand`]; the configuration task keeps [`Names`], which decides
//! what to subscribe to and what to give up: at most [`limits::ON_DEMAND_NAMES`], and nothing that was unused for
//! [`limits::ON_DEMAND_IDLE`]. [`Names`] is pure; workers note each use in a word of their snapshot ([`LastUse`]).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tokio::sync::mpsc;
use weir_model::{Time, limits};

use crate::snapshot::link::Name;
use crate::snapshot::state::{LastUse, seconds};

/// Longest authority that is asked for: a DNS name of 253 characters, a colon and a port.
const NAME_BYTES: usize = 253 + 6;

/// A worker's end: asks for names. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Demand {
    wants: mpsc::Sender<Arc<str>>,
    connected: Arc<AtomicBool>,
}

/// What became of a question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// It is on its way; a later snapshot answers it.
    Sent,
    /// Too many questions are on their way. Ask again, or refuse the request.
    Full,
    /// This cannot be the name of a service, so nobody is asked.
    Invalid,
}

impl Demand {
    /// A worker's end and the task's end of the queue.
    pub(crate) fn new(connected: Arc<AtomicBool>) -> (Self, mpsc::Receiver<Arc<str>>) {
        let (wants, wanted) = mpsc::channel(limits::ON_DEMAND_WAITING);
        (Self { wants, connected }, wanted)
    }

    /// A worker's end without a control plane, and what it asks for: for tests of what is above.
    pub fn detached(connected: bool) -> (Self, mpsc::Receiver<Arc<str>>) {
        Self::new(Arc::new(AtomicBool::new(connected)))
    }

    /// Asks for an authority, as the request has it. Asking twice does no harm.
    pub fn want(&self, authority: &str) -> Asked {
        let name = weir_decide::authority::normalize(authority);
        if !is_name(&name) {
            return Asked::Invalid;
        }
        match self.wants.try_send(Arc::from(&*name)) {
            Ok(()) => Asked::Sent,
            Err(_) => Asked::Full,
        }
    }

    /// Whether a control plane is there to answer.
    pub fn connected(&self) -> bool {
        self.connected.load(Relaxed)
    }
}

/// Whether a control plane may be asked for it: a host with or without a port. What contains `/` or `*` means something
/// else as the name of a listener.
pub fn is_name(name: &str) -> bool {
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    !name.is_empty() && name.len() <= NAME_BYTES && name.bytes().all(allowed)
}

/// The names that are subscribed to.
#[derive(Debug)]
pub struct Names {
    capacity: usize,
    entries: HashMap<Arc<str>, Entry>,
}

#[derive(Debug)]
struct Entry {
    used: Arc<LastUse>,
    answer: Answer,
}

/// What the control plane said to a name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Answer {
    /// That it does not exist.
    Absent,
    /// Nothing yet.
    None,
    /// Its listener.
    Listener,
}

/// What to do after a name was wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// Nothing: it is subscribed to already.
    Known,
    /// Subscribe to it, after giving up `evicted`.
    Subscribe {
        /// The name that had to make room.
        evicted: Option<Arc<str>>,
    },
}

impl Default for Names {
    fn default() -> Self {
        Self::bounded(limits::ON_DEMAND_NAMES)
    }
}

impl Names {
    /// At most `capacity` names, at least one.
    pub fn bounded(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), entries: HashMap::new() }
    }

    /// A name is used at `now` by a request that knew no answer.
    ///
    /// When there are too many, a name that does not exist makes room first, then the one whose last use is longest ago:
    /// requests to invented names must not push out the names of services.
    pub fn want(&mut self, name: Arc<str>, now: Time) -> Wanted {
        if let Some(entry) = self.entries.get(&name) {
            entry.used.touch(now);
            return Wanted::Known;
        }
        let mut evicted = None;
        if self.entries.len() >= self.capacity {
            let key = |name: &Arc<str>, entry: &Entry| {
                (entry.answer != Answer::Absent, entry.used.second(), name.clone())
            };
            evicted =
                self.entries.iter().map(|(name, entry)| key(name, entry)).min().map(|(_, _, name)| name);
            if let Some(evicted) = &evicted {
                self.entries.remove(evicted);
            }
        }
        let used = Arc::new(LastUse::default());
        used.touch(now);
        self.entries.insert(name, Entry { used, answer: Answer::None });
        Wanted::Subscribe { evicted }
    }

    /// Notes the control plane's answer; whether the name is one of ours and the answer is news.
    pub fn answer(&mut self, name: &str, answer: Answer) -> bool {
        match self.entries.get_mut(name) {
            Some(entry) => std::mem::replace(&mut entry.answer, answer) != answer,
            None => false,
        }
    }

    /// Gives up and returns the names that nobody used for [`limits::ON_DEMAND_IDLE`].
    pub fn expire(&mut self, now: Time) -> Vec<Arc<str>> {
        let idle = u32::try_from(limits::ON_DEMAND_IDLE.as_secs()).unwrap_or(u32::MAX);
        let expired = |entry: &Entry| seconds(now).saturating_sub(entry.used.second()) > idle;
        let mut names: Vec<_> =
            self.entries.iter().filter(|(_, entry)| expired(entry)).map(|(name, _)| name.clone()).collect();
        names.sort();
        for name in &names {
            self.entries.remove(name);
        }
        names
    }

    /// All of them with their answers, in order.
    pub fn all(&self) -> Vec<(Arc<str>, Answer)> {
        let mut names: Vec<_> =
            self.entries.iter().map(|(name, entry)| (name.clone(), entry.answer)).collect();
        names.sort();
        names
    }

    /// All of them as a snapshot needs them.
    pub fn linked(&self) -> impl Iterator<Item = Name> + '_ {
        self.entries.iter().map(|(name, entry)| Name {
            name: name.clone(),
            used: entry.used.clone(),
            absent: entry.answer == Answer::Absent,
        })
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests;
