//! What a certificate says of its holder: an X.509-SVID ("The X.509 SPIFFE Verifiable Identity Document").
//!
//! Only the content is judged here; whether anybody vouches for it is [`verify`](crate::verify)'s.

use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

use crate::{IdentityError, SpiffeId};

/// Longest certificate read, in bytes.
pub const CERTIFICATE_BYTES: usize = 16 * 1024;
const WHAT: &str = "certificate";

/// A leaf certificate's content. Times are seconds since 1970.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leaf {
    /// Who holds it.
    pub id: SpiffeId,
    /// Not valid before.
    pub not_before: u64,
    /// Not valid after.
    pub not_after: u64,
    /// Its number, in hexadecimal.
    pub serial: String,
    /// SHA-256 of its public key (SubjectPublicKeyInfo).
    pub public: [u8; 32],
}

impl Leaf {
    /// Reads a leaf: exactly one URI, a SPIFFE id; no authority; a key for signatures and not for certificates.
    ///
    /// # Errors
    /// Which of these it is not.
    pub fn from_der(der: &[u8]) -> Result<Self, IdentityError> {
        let certificate = parse(der)?;
        let refused = |why: &str| Err(IdentityError::refused(WHAT, why));
        let mut names = None;
        let mut signs = false;
        for extension in certificate.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::BasicConstraints(constraints) if constraints.ca => {
                    return refused("it is an authority's, not a leaf");
                }
                ParsedExtension::KeyUsage(usage) => {
                    if usage.key_cert_sign() || usage.crl_sign() {
                        return refused("its key may sign certificates; a leaf's may not");
                    }
                    signs = usage.digital_signature();
                }
                ParsedExtension::SubjectAlternativeName(san) => names = Some(&san.general_names),
                _ => {}
            }
        }
        if !signs {
            return refused("its key usage does not include digital signatures");
        }
        let uris: Vec<&str> = names.into_iter().flatten().filter_map(uri).collect();
        let id = match uris[..] {
            [uri] => uri.parse()?,
            [] => return refused("it names no SPIFFE id (no URI among its alternative names)"),
            _ => return refused("it has more than one URI; a SPIFFE certificate has exactly one"),
        };
        let (not_before, not_after) = validity(&certificate);
        Ok(Self {
            id,
            not_before,
            not_after,
            serial: crate::hex(certificate.raw_serial()),
            public: Sha256::digest(certificate.public_key().raw).into(),
        })
    }

    /// Whether it is in force at `now`, in seconds since 1970.
    ///
    /// # Errors
    /// It is not, and how far off it is.
    pub fn check(&self, now: u64) -> Result<(), IdentityError> {
        if now > self.not_after {
            let ago = now - self.not_after;
            return Err(IdentityError::refused(WHAT, format!("{}'s expired {ago} s ago", self.id)));
        }
        if now < self.not_before {
            let ahead = self.not_before - now;
            return Err(IdentityError::refused(
                WHAT,
                format!("{}'s is valid only in {ahead} s; compare the clocks", self.id),
            ));
        }
        Ok(())
    }
}

/// An authority's certificate: what a bundle and a chain are made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct AuthorityCertificate {
    pub(crate) der: CertificateDer<'static>,
    /// The URI it names, if it names one.
    pub(crate) uri: Option<String>,
    pub(crate) not_before: u64,
    pub(crate) not_after: u64,
    /// SHA-256 of its public key (SubjectPublicKeyInfo).
    pub(crate) public: [u8; 32],
    pub(crate) self_issued: bool,
}

impl AuthorityCertificate {
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, IdentityError> {
        const WHAT: &str = "authority's certificate";
        let certificate = parse(der)?;
        let mut uris = Vec::new();
        let (mut authority, mut signs) = (false, true);
        for extension in certificate.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::BasicConstraints(constraints) => authority = constraints.ca,
                ParsedExtension::KeyUsage(usage) => signs = usage.key_cert_sign(),
                ParsedExtension::SubjectAlternativeName(san) => {
                    uris.extend(san.general_names.iter().filter_map(uri));
                }
                _ => {}
            }
        }
        if !authority {
            return Err(IdentityError::refused(WHAT, "it is a leaf, not an authority's (CA is not set)"));
        }
        if !signs {
            return Err(IdentityError::refused(WHAT, "its key may not sign certificates"));
        }
        if uris.len() > 1 {
            return Err(IdentityError::refused(WHAT, "it has more than one URI"));
        }
        let (not_before, not_after) = validity(&certificate);
        Ok(Self {
            uri: uris.first().map(|uri| (*uri).to_owned()),
            not_before,
            not_after,
            public: Sha256::digest(certificate.public_key().raw).into(),
            self_issued: certificate.subject().as_raw() == certificate.issuer().as_raw(),
            der: CertificateDer::from(der.to_vec()),
        })
    }
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, IdentityError> {
    let malformed = |why: &str| IdentityError::malformed(WHAT, why);
    if der.len() > CERTIFICATE_BYTES {
        return Err(malformed("it is longer than 16384 bytes"));
    }
    let (rest, certificate) =
        X509Certificate::from_der(der).map_err(|_| malformed("it is no X.509 certificate"))?;
    if !rest.is_empty() {
        return Err(malformed("something follows it"));
    }
    // An extension that is there twice could say two things; one that cannot be parsed could say anything.
    let mut seen = std::collections::BTreeSet::new();
    for extension in certificate.extensions() {
        if !seen.insert(extension.oid.as_bytes()) {
            return Err(malformed("an extension is there twice"));
        }
        if matches!(extension.parsed_extension(), ParsedExtension::ParseError { .. }) {
            return Err(malformed("one of its extensions cannot be read"));
        }
    }
    Ok(certificate)
}

fn uri<'a>(name: &GeneralName<'a>) -> Option<&'a str> {
    match name {
        GeneralName::URI(uri) => Some(uri),
        _ => None,
    }
}

fn validity(certificate: &X509Certificate<'_>) -> (u64, u64) {
    let seconds = |time: x509_parser::time::ASN1Time| u64::try_from(time.timestamp()).unwrap_or(0);
    (seconds(certificate.validity().not_before), seconds(certificate.validity().not_after))
}

#[cfg(test)]
mod tests;
