//! The roots of a trust domain and how one follows another, as values: prepared (trusted, silent), signing, old (trusted, silent), gone. At every
//! step everybody's certificates are good with everybody else, if the steps are far enough apart for every sidecar to follow.

use serde_json::{Value, json};

#[cfg(test)]
mod tests;

/// Most roots at once; a rotation needs two, and three if it is begun again before the last one is over.
const ROOTS: usize = 4;

/// How far a root has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Next,
    Signing,
    Old,
}

impl State {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Signing => "signing",
            Self::Old => "old",
        }
    }
}

/// A root; its key is in a file of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Root {
    /// SHA-256 of its public key, in hexadecimal.
    pub(crate) public: String,
    /// In PEM.
    pub(crate) certificate: String,
    pub(crate) state: State,
    /// Since when, in seconds since 1970.
    pub(crate) since: u64,
}

/// What is known of an authority.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Roots {
    pub(crate) trust_domain: String,
    pub(crate) roots: Vec<Root>,
}

impl Roots {
    /// The one that signs.
    pub(crate) fn signing(&self) -> Option<&Root> {
        self.roots.iter().find(|root| root.state == State::Signing)
    }

    /// All certificates in one text.
    pub(crate) fn pem(&self) -> String {
        self.roots.iter().map(|root| root.certificate.as_str()).collect()
    }

    /// Adds the next root.
    pub(crate) fn prepare(&mut self, root: Root) -> Result<(), String> {
        if self.roots.iter().any(|root| root.state == State::Next) {
            return Err("a next root is there already; activate it first".to_owned());
        }
        if self.roots.len() == ROOTS {
            return Err("there are four roots already; retire the old ones first".to_owned());
        }
        self.roots.push(root);
        Ok(())
    }

    /// Lets the next root sign. `heard` is how long it takes, in seconds, until every sidecar knows a root.
    pub(crate) fn activate(&mut self, heard: u64, now: u64, force: bool) -> Result<(), String> {
        let next = self.roots.iter().find(|root| root.state == State::Next);
        let next = next.ok_or("there is no next root; prepare one first")?;
        wait("not every sidecar knows the next root yet", next.since.saturating_add(heard), now, force)?;
        for root in &mut self.roots {
            let state = match root.state {
                State::Next => State::Signing,
                State::Signing => State::Old,
                State::Old => continue,
            };
            (root.state, root.since) = (state, now);
        }
        Ok(())
    }

    /// Drops old roots; `lifetime` is how long what they signed can last, in seconds.
    pub(crate) fn retire(&mut self, lifetime: u64, now: u64, force: bool) -> Result<(), String> {
        let latest = self.roots.iter().filter(|root| root.state == State::Old).map(|root| root.since).max();
        let latest = latest.ok_or("there is no old root")?;
        wait("certificates of an old root may still be in use", latest.saturating_add(lifetime), now, force)?;
        self.roots.retain(|root| root.state != State::Old);
        Ok(())
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let root = |root: &Root| json!({ "public": root.public, "certificate": root.certificate, "state": root.state.as_str(), "since": root.since });
        let roots: Vec<Value> = self.roots.iter().map(root).collect();
        json!({ "trustDomain": self.trust_domain, "roots": roots }).to_string().into_bytes()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(bytes).ok()?;
        let root = |value: &Value| {
            let states = [State::Next, State::Signing, State::Old];
            Some(Root {
                public: value["public"].as_str()?.to_owned(),
                certificate: value["certificate"].as_str()?.to_owned(),
                state: states.into_iter().find(|state| value["state"] == state.as_str())?,
                since: value["since"].as_u64()?,
            })
        };
        Some(Self {
            trust_domain: value["trustDomain"].as_str()?.to_owned(),
            roots: value["roots"].as_array()?.iter().map(root).collect::<Option<_>>()?,
        })
    }
}

fn wait(why: &str, until: u64, now: u64, force: bool) -> Result<(), String> {
    match until.saturating_sub(now) {
        0 => Ok(()),
        _ if force => Ok(()),
        left => Err(format!("{why}: wait {left} s, or force it")),
    }
}
