//! Who is who in a mesh: names, keys, certificates, and TLS that checks them.
//!
//! A workload is named by its service account, as SPIFFE has it: `spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/ACCOUNT`. The control plane is the
//! certificate authority of its trust domain. In the order in which an identity comes to be and is used:
//!
//! - [`spiffe`]: names, parsed strictly;
//! - [`token`]: what a newcomer proves itself with, once;
//! - [`key`] and [`request`]: its key, which never leaves it, and what it asks to have signed;
//! - [`authority`]: signs, for a day;
//! - [`certificate`]: what a certificate says of its holder, and which certificates say nothing;
//! - [`bundle`]: the roots that are trusted, old and new together, and the pin of one for the first contact;
//! - [`verify`] and [`tls`]: TLS 1.3 configurations that check a peer's chain and name;
//! - [`renew`]: when to ask for the next certificate;
//! - [`mod@file`]: secrets on disk, closed to others.
//!
//! Time and chance are arguments, but for keys, serial numbers and tokens, whose chance is the cryptographic library's. Nothing here opens a
//! socket or waits: shells hand configurations to their sockets, and take a new one for each new connection when the identity changed.
//! Peers are never judged by host names or the system's roots.

pub mod authority;
pub mod bundle;
pub mod certificate;
mod error;
pub mod file;
pub mod key;
mod pem;
pub mod renew;
pub mod request;
pub mod role;
pub mod spiffe;
pub mod tls;
pub mod token;
pub mod verify;

pub use authority::{Authority, Issued};
pub use bundle::{Bundle, Pin};
pub use certificate::Leaf;
pub use error::IdentityError;
pub use key::PrivateKey;
pub use request::SigningRequest;
pub use role::Role;
pub use spiffe::{ServiceAccount, SpiffeId, TrustDomain};
pub use tls::Identity;
pub use verify::{Expected, Trust};

/// The cryptography everything here uses: aws-lc-rs, with X25519MLKEM768 first among the key exchanges.
pub fn provider() -> std::sync::Arc<rustls::crypto::CryptoProvider> {
    static PROVIDER: std::sync::LazyLock<std::sync::Arc<rustls::crypto::CryptoProvider>> =
        std::sync::LazyLock::new(|| std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    PROVIDER.clone()
}

/// Bytes nobody can guess.
///
/// # Errors
/// The system has no chance to give.
pub fn secret_bytes<const N: usize>() -> Result<[u8; N], IdentityError> {
    let mut bytes = [0; N];
    provider()
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| IdentityError::failed("the system gives no random bytes"))?;
    Ok(bytes)
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String cannot fail.
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod testing;
