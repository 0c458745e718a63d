//! Certificate signing requests (PKCS #10), as they arrive from somebody unknown.
//!
//! A request proves that its sender has the private key, and says at most which name it believes to have. Everything else that a request
//! could ask for is refused, so that nothing in it can find its way into a certificate.

use rcgen::{
    CertificateParams, CertificateSigningRequestParams, IsCa, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    PublicKey, PublicKeyData, SanType,
};
use sha2::{Digest, Sha256};

use crate::{IdentityError, SpiffeId};

/// Longest request, in bytes; one with a 2048-byte name fits.
pub const REQUEST_BYTES: usize = 8 * 1024;
const WHAT: &str = "certificate request";

/// A request whose signature was checked.
#[derive(Debug)]
pub struct SigningRequest {
    pub(crate) public_key: PublicKey,
    asked: Option<SpiffeId>,
}

impl SigningRequest {
    /// Parses and checks one.
    ///
    /// # Errors
    /// It is no request, its signature is wrong, its key is not on P-256 or P-384, or it asks for more than a SPIFFE id.
    pub fn from_der(der: &[u8]) -> Result<Self, IdentityError> {
        let malformed = |why: &str| IdentityError::malformed(WHAT, why);
        if der.len() > REQUEST_BYTES {
            return Err(malformed("it is longer than 8192 bytes"));
        }
        let parsed = CertificateSigningRequestParams::from_der(&der.into())
            .map_err(|error| malformed(&format!("{error}; it must be PKCS #10 in DER")))?;
        let CertificateSigningRequestParams { params, public_key } = parsed;
        let algorithm = PublicKeyData::algorithm(&public_key);
        let point = match () {
            () if algorithm == &PKCS_ECDSA_P256_SHA256 => 65,
            () if algorithm == &PKCS_ECDSA_P384_SHA384 => 97,
            () => 0,
        };
        if public_key.der_bytes().len() != point {
            return Err(IdentityError::refused(
                WHAT,
                "its key is not ECDSA on P-256 or P-384, signed with the curve's own hash",
            ));
        }
        Ok(Self { asked: asked(&params)?, public_key })
    }

    /// The name it asks for, if it says one.
    pub fn asked(&self) -> Option<&SpiffeId> {
        self.asked.as_ref()
    }

    /// SHA-256 of the public key (SubjectPublicKeyInfo): the same as [`PrivateKey::public`](crate::PrivateKey::public).
    pub fn public(&self) -> [u8; 32] {
        Sha256::digest(self.public_key.subject_public_key_info()).into()
    }

    /// Checks that the requester may have `id`: it must not ask for another name.
    ///
    /// # Errors
    /// It does.
    pub fn check(&self, id: &SpiffeId) -> Result<(), IdentityError> {
        match &self.asked {
            Some(asked) if asked != id => Err(IdentityError::refused(
                WHAT,
                format!("it asks for {asked}, and who sent it is {id}; ask for that, or for no name"),
            )),
            _ => Ok(()),
        }
    }
}

fn asked(params: &CertificateParams) -> Result<Option<SpiffeId>, IdentityError> {
    let refused = |why: &str| Err(IdentityError::refused(WHAT, why));
    if !matches!(params.is_ca, IsCa::NoCa | IsCa::ExplicitNoCa) {
        return refused("it asks to be an authority");
    }
    match &params.subject_alt_names[..] {
        [] => Ok(None),
        [SanType::URI(uri)] => uri.as_str().parse().map(Some),
        [_] => refused("it asks for a name that is no URI"),
        _ => refused("it asks for more than one name"),
    }
}

#[cfg(test)]
mod tests;
