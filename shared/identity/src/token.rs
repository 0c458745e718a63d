//! Tokens: what a newcomer proves itself with once, and what an operator without a certificate shows with every call.
//!
//! A token is 256 random bits. Only its digest is kept: whoever reads the store cannot use what is in it. Pure but for making one; who keeps
//! records must make a use durable before it acts on it.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{IdentityError, Role, ServiceAccount};

const JOIN: &str = "weir-join-";
const API: &str = "weir-api-";
/// Random bytes in a token.
const SECRET: usize = 32;

/// What a token is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Grant {
    /// Its bearer becomes this workload, once.
    Join(ServiceAccount),
    /// Its bearer may call the policy API, as often as it likes.
    Api {
        /// What it may do.
        role: Role,
        /// Who it is, for the history.
        name: String,
    },
}

/// What is known of a token. Times are seconds since 1970.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// What it is for.
    pub grant: Grant,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created: u64,
    /// When it ends; never if absent.
    pub expires: Option<u64>,
    /// Whether it was used, if it can be used only once.
    pub used: Option<Use>,
}

/// The one use of a join token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Use {
    /// When, in seconds since 1970.
    pub at: u64,
    /// SHA-256 of the public key that it was used for.
    pub public: [u8; 32],
}

/// Why a token opens nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TokenError {
    /// It was never made, was revoked, or is long gone.
    #[error("the token is not known; it may have been revoked: make another with `weir token create`")]
    Unknown,
    /// Its time is over.
    #[error("the token expired {ago} s ago; make another with `weir token create`")]
    Expired {
        /// Seconds since then.
        ago: u64,
    },
    /// It was used, for another key.
    #[error(
        "the token was used already, {ago} s ago, and not by this key: it may have been stolen; revoke what it gave, make another"
    )]
    Used {
        /// Seconds since then.
        ago: u64,
    },
    /// It is for something else.
    #[error("the token is {found}, and {wanted} is needed here")]
    Kind {
        /// What it is.
        found: &'static str,
        /// What would be right.
        wanted: &'static str,
    },
}

/// What using a join token comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Redeemed {
    /// Its first use: this record must be durable before anything is signed.
    First(Record),
    /// The same key again: it did not hear the answer.
    Again,
}

/// A new token for `grant`.
///
/// # Errors
/// The system has no chance to give.
pub fn generate(grant: &Grant) -> Result<Zeroizing<String>, IdentityError> {
    let secret: Zeroizing<[u8; SECRET]> = Zeroizing::new(crate::secret_bytes()?);
    let prefix = match grant {
        Grant::Join(_) => JOIN,
        Grant::Api { .. } => API,
    };
    Ok(Zeroizing::new(format!("{prefix}{}", crate::hex(&*secret))))
}

/// The digest under which a token is kept, in hexadecimal; `None` for a text that cannot be a token.
pub fn digest(token: &str) -> Option<String> {
    let secret = token.strip_prefix(JOIN).or_else(|| token.strip_prefix(API))?;
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (secret.len() == 2 * SECRET && secret.bytes().all(hexadecimal))
        .then(|| crate::hex(&Sha256::digest(token.as_bytes())))
}

impl Record {
    /// Uses a join token for a public key at `now`.
    ///
    /// It opens for one key only. The same key may come again until the token expires, since who has it cannot be anybody else and may
    /// not have heard the first answer.
    ///
    /// # Errors
    /// It is no join token, is over, or was used for another key.
    pub fn redeem(&self, public: [u8; 32], now: u64) -> Result<(ServiceAccount, Redeemed), TokenError> {
        let Grant::Join(account) = &self.grant else {
            return Err(TokenError::Kind {
                found: "a bearer token of the policy API",
                wanted: "a join token",
            });
        };
        self.check(now)?;
        match &self.used {
            None => {
                let record = Self { used: Some(Use { at: now, public }), ..self.clone() };
                Ok((account.clone(), Redeemed::First(record)))
            }
            Some(used) if used.public == public => Ok((account.clone(), Redeemed::Again)),
            Some(used) => Err(TokenError::Used { ago: now.saturating_sub(used.at) }),
        }
    }

    /// Who shows this bearer token, and what it may do at `now`.
    ///
    /// # Errors
    /// It is a join token, or is over.
    pub fn bearer(&self, now: u64) -> Result<(Role, &str), TokenError> {
        let Grant::Api { role, name } = &self.grant else {
            return Err(TokenError::Kind {
                found: "a join token",
                wanted: "a bearer token of the policy API",
            });
        };
        self.check(now)?;
        Ok((*role, name))
    }

    /// Whether nobody needs to know of it any more: an hour after its end, until when a thief is still told what happened.
    pub fn forgotten(&self, now: u64) -> bool {
        self.expires.is_some_and(|expires| now > expires.saturating_add(3600))
    }

    fn check(&self, now: u64) -> Result<(), TokenError> {
        match self.expires {
            Some(expires) if now >= expires => Err(TokenError::Expired { ago: now - expires }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
