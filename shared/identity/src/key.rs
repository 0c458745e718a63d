//! Keys. A workload makes its own, and it never leaves it: what travels is a request signed with it.

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{IdentityError, SpiffeId};

const WHAT: &str = "private key";

/// A private key. It is not shown when debugged.
pub struct PrivateKey {
    pair: KeyPair,
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PrivateKey(of public key {})", crate::hex(&self.public()[..8]))
    }
}

impl PrivateKey {
    /// A new one: ECDSA on P-256.
    ///
    /// # Errors
    /// The system has no chance to give.
    pub fn generate() -> Result<Self, IdentityError> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
            .map_err(|error| IdentityError::failed(format!("no key can be made: {error}")))?;
        Ok(Self { pair })
    }

    /// Reads PKCS #8 in PEM.
    ///
    /// # Errors
    /// It is no key, or not one that is supported.
    pub fn from_pem(text: &str) -> Result<Self, IdentityError> {
        if text.len() > crate::pem::BYTES {
            return Err(IdentityError::malformed(WHAT, "it is longer than any key"));
        }
        let pair = KeyPair::from_pem(text).map_err(|error| {
            IdentityError::malformed(WHAT, format!("{error}; write it as PKCS #8 (BEGIN PRIVATE KEY)"))
        })?;
        Ok(Self { pair })
    }

    /// PKCS #8 in PEM. The text is wiped when it is dropped.
    pub fn to_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.pair.serialize_pem())
    }

    /// SHA-256 of the public key (SubjectPublicKeyInfo).
    pub fn public(&self) -> [u8; 32] {
        Sha256::digest(self.pair.subject_public_key_info()).into()
    }

    /// A request to have the public key signed, in DER. The name is what the requester believes to be; who signs decides, and refuses another.
    ///
    /// # Errors
    /// The library failed.
    pub fn request(&self, id: Option<&SpiffeId>) -> Result<Vec<u8>, IdentityError> {
        let failed = |error: rcgen::Error| IdentityError::failed(format!("no request can be made: {error}"));
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        if let Some(id) = id {
            let uri = id.to_string().try_into().map_err(failed)?;
            params.subject_alt_names.push(SanType::URI(uri));
        }
        let request = params.serialize_request(&self.pair).map_err(failed)?;
        Ok(request.der().to_vec())
    }

    pub(crate) fn der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.pair.serialize_der()))
    }

    pub(crate) fn pair(&self) -> &KeyPair {
        &self.pair
    }

    pub(crate) fn into_pair(self) -> KeyPair {
        self.pair
    }
}

#[cfg(test)]
mod tests;
