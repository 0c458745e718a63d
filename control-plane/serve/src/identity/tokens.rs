//! Tokens, kept: as digests, in a store of their own. A join token's use is durable before anything is signed for it, and of two uses at once
//! one is first: the store takes a batch only on the state that its author saw.

use serde_json::{Value, json};
use std::sync::Arc;
use weir_identity::token::{self, Grant, Record, Redeemed, TokenError, Use};
use weir_identity::{Role, ServiceAccount};
use weir_store::{Attribution, Change, Store, StoreError};
use zeroize::Zeroizing;

#[cfg(test)]
mod tests;

/// Most tokens kept.
pub const TOKENS: usize = 10_000;
/// How often a batch is tried again when others write at the same time.
const CONTENTION: usize = 32;
/// Digits of a digest that are a token's id.
pub(crate) const ID: usize = 12;
const PREFIX: &str = "token/";

/// Why a token could not be made, used or revoked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TokensError {
    /// It opens nothing.
    #[error(transparent)]
    Refused(#[from] TokenError),
    /// There are too many.
    #[error("{TOKENS} tokens are kept already; revoke some, or wait until they expire")]
    Full,
    /// No token, or several, begin so.
    #[error("{0}")]
    Id(String),
    /// The disk, or the library.
    #[error("{0}")]
    Failed(String),
}

impl From<StoreError> for TokensError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// The tokens of a control plane. Methods that change something wait for the disk.
pub struct Tokens {
    store: Arc<dyn Store>,
}

impl Tokens {
    /// Those in a store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// Makes one at `now` (seconds since 1970), and forgets those that are long over.
    ///
    /// # Errors
    /// Too many, or it cannot be written.
    pub fn create(
        &self,
        grant: Grant,
        created_by: &str,
        expires: Option<u64>,
        now: u64,
    ) -> Result<(Zeroizing<String>, String, Record), TokensError> {
        let token = token::generate(&grant).map_err(|error| TokensError::Failed(error.to_string()))?;
        let digest = token::digest(&token).unwrap_or_default();
        let record = Record { grant, created_by: created_by.to_owned(), created: now, expires, used: None };
        self.change("make a token", now, |all| {
            let forgotten = all.iter().filter(|(_, record)| record.forgotten(now));
            let mut changes: Vec<Change> =
                forgotten.map(|(digest, _)| Change::Delete { key: key(digest) }).collect();
            if all.len() - changes.len() >= TOKENS {
                return Err(TokensError::Full);
            }
            changes.push(put(&digest, &record));
            Ok(Some(changes))
        })?;
        Ok((token, digest, record))
    }

    /// Uses a join token for a public key.
    ///
    /// # Errors
    /// It opens nothing, or its use cannot be written: then it was not used.
    pub fn redeem(&self, token: &str, public: [u8; 32], now: u64) -> Result<ServiceAccount, TokensError> {
        let digest = token::digest(token).ok_or(TokenError::Unknown)?;
        let mut account = None;
        self.change("use a token", now, |all| {
            let known = all.iter().find(|(known, _)| *known == digest);
            let (_, record) = known.ok_or(TokenError::Unknown)?;
            let (granted, redeemed) = record.redeem(public, now)?;
            account = Some(granted);
            Ok(match redeemed {
                Redeemed::First(used) => Some(vec![put(&digest, &used)]),
                Redeemed::Again => None,
            })
        })?;
        account.ok_or(TokensError::Refused(TokenError::Unknown))
    }

    /// Who shows a bearer token, and what it may do. Does not wait.
    ///
    /// # Errors
    /// It opens nothing.
    pub fn bearer(&self, token: &str, now: u64) -> Result<(Role, String), TokenError> {
        let digest = token::digest(token).ok_or(TokenError::Unknown)?;
        let state = self.store.state();
        let record = state.entries.get(&key(&digest)).and_then(|entry| decode(&entry.value));
        let record = record.ok_or(TokenError::Unknown)?;
        record.bearer(now).map(|(role, name)| (role, name.to_owned()))
    }

    /// Which workload a join token is for, whether or not it can still be used. Does not wait.
    pub fn is_for(&self, token: &str) -> Option<ServiceAccount> {
        let state = self.store.state();
        let record =
            state.entries.get(&key(&token::digest(token)?)).and_then(|entry| decode(&entry.value))?;
        match record.grant {
            Grant::Join(account) => Some(account),
            Grant::Api { .. } => None,
        }
    }

    /// All of them with their digests, in order of those.
    pub fn list(&self) -> Vec<(String, Record)> {
        let state = self.store.state();
        let tokens = state.entries.range(PREFIX.to_owned()..).take_while(|(key, _)| key.starts_with(PREFIX));
        tokens
            .filter_map(|(key, entry)| Some((key.strip_prefix(PREFIX)?.to_owned(), decode(&entry.value)?)))
            .collect()
    }

    /// Forgets the one token whose digest begins with `id`.
    ///
    /// # Errors
    /// None does, or several do, or it cannot be written.
    pub fn revoke(&self, id: &str, now: u64) -> Result<(String, Record), TokensError> {
        if id.len() < 6 {
            return Err(TokensError::Id("write at least 6 digits of the token's id".to_owned()));
        }
        let mut revoked = None;
        self.change("revoke a token", now, |all| {
            let mut found = all.iter().filter(|(digest, _)| digest.starts_with(id));
            match (found.next(), found.next()) {
                (Some(one), None) => {
                    revoked = Some(one.clone());
                    Ok(Some(vec![Change::Delete { key: key(&one.0) }]))
                }
                (None, _) => {
                    Err(TokensError::Id(format!("no token's id begins with {id}; see `weir token list`")))
                }
                (Some(_), Some(_)) => {
                    Err(TokensError::Id(format!("several ids begin with {id}; write more of it")))
                }
            }
        })?;
        revoked.ok_or_else(|| TokensError::Id(format!("no token's id begins with {id}")))
    }

    /// Decides on the newest state and writes, again if somebody else wrote in between.
    fn change(
        &self,
        what: &str,
        now: u64,
        mut decide: impl FnMut(&[(String, Record)]) -> Result<Option<Vec<Change>>, TokensError>,
    ) -> Result<(), TokensError> {
        for _ in 0..CONTENTION {
            let revision = self.store.state().revision;
            let Some(changes) = decide(&self.list())? else { return Ok(()) };
            let by = Attribution {
                author: "control plane".to_owned(),
                message: what.to_owned(),
                unix_millis: now.saturating_mul(1000),
            };
            match self.store.apply(Some(revision), changes, by) {
                Ok(_) => return Ok(()),
                Err(StoreError::Stale { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(TokensError::Failed("others write all the time; try again".to_owned()))
    }
}

fn key(digest: &str) -> String {
    format!("{PREFIX}{digest}")
}

fn put(digest: &str, record: &Record) -> Change {
    Change::Put { key: key(digest), value: encode(record).into() }
}

fn encode(record: &Record) -> Vec<u8> {
    let grant = match &record.grant {
        Grant::Join(account) => json!({ "join": account.to_string() }),
        Grant::Api { role, name } => json!({ "api": { "role": role.as_str(), "name": name } }),
    };
    let used =
        record.used.as_ref().map(|used| json!({ "at": used.at, "public": weir_identity::hex(&used.public) }));
    let record = json!({
        "grant": grant, "createdBy": record.created_by, "created": record.created, "expires": record.expires, "used": used,
    });
    record.to_string().into_bytes()
}

fn decode(bytes: &[u8]) -> Option<Record> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    let grant = match (value["grant"]["join"].as_str(), &value["grant"]["api"]) {
        (Some(account), _) => Grant::Join(account.parse().ok()?),
        (None, api) => {
            Grant::Api { role: api["role"].as_str()?.parse().ok()?, name: api["name"].as_str()?.to_owned() }
        }
    };
    let used = match &value["used"] {
        Value::Null => None,
        used => Some(Use { at: used["at"].as_u64()?, public: unhex(used["public"].as_str()?)? }),
    };
    let expires = match &value["expires"] {
        Value::Null => None,
        expires => Some(expires.as_u64()?),
    };
    Some(Record {
        grant,
        created_by: value["createdBy"].as_str()?.to_owned(),
        created: value["created"].as_u64()?,
        expires,
        used,
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}
