//! The roots that a trust domain is checked against. While a root is being replaced there are two: certificates of either are good.

use std::str::FromStr;

use rustls::pki_types::{CertificateDer, TrustAnchor};

use crate::certificate::AuthorityCertificate;
use crate::{IdentityError, TrustDomain};

/// Most roots in one bundle.
pub const ROOTS: usize = 16;
const WHAT: &str = "trust bundle";

/// A trust domain and its roots; at least one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bundle {
    domain: TrustDomain,
    roots: Vec<AuthorityCertificate>,
}

impl Bundle {
    /// Reads roots in PEM. Without `domain`, at least one of them must name its trust domain, as weir's own do.
    ///
    /// # Errors
    /// No certificates, too many, not an authority's, or of another trust domain.
    pub fn from_pem(text: &str, domain: Option<&TrustDomain>) -> Result<Self, IdentityError> {
        Self::from_roots(&crate::pem::certificates(WHAT, text)?, domain)
    }

    /// The same from certificates in DER.
    ///
    /// # Errors
    /// As [`Bundle::from_pem`].
    pub fn from_roots(
        roots: &[CertificateDer<'_>],
        domain: Option<&TrustDomain>,
    ) -> Result<Self, IdentityError> {
        let mut read: Vec<AuthorityCertificate> = Vec::new();
        for der in roots {
            let root = AuthorityCertificate::from_der(der)?;
            if read.iter().all(|known| known.der != root.der) {
                read.push(root);
            }
        }
        if read.len() > ROOTS {
            return Err(IdentityError::refused(WHAT, format!("it has more than {ROOTS} roots")));
        }
        let mut found = domain.cloned();
        for uri in read.iter().filter_map(|root| root.uri.as_deref()) {
            let named: TrustDomain = uri
                .strip_prefix("spiffe://")
                .ok_or_else(|| {
                    IdentityError::refused(WHAT, format!("a root names {uri}, which is no trust domain"))
                })?
                .parse()?;
            match &found {
                Some(domain) if *domain != named => {
                    return Err(IdentityError::refused(
                        WHAT,
                        format!("a root is of the trust domain {named}, not of {domain}"),
                    ));
                }
                _ => found = Some(named),
            }
        }
        match (found, read.is_empty()) {
            (_, true) => Err(IdentityError::malformed(WHAT, "it has no root")),
            (None, _) => Err(IdentityError::malformed(
                WHAT,
                "its roots do not name their trust domain; say which it is (--trust-domain)",
            )),
            (Some(domain), _) => Ok(Self { domain, roots: read }),
        }
    }

    /// Whose roots these are.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.domain
    }

    /// The roots, in DER.
    pub fn roots(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        self.roots.iter().map(|root| &root.der)
    }

    /// Each root's pin, and until when it is valid in seconds since 1970.
    pub fn pins(&self) -> impl Iterator<Item = (Pin, u64)> {
        self.roots.iter().map(|root| (Pin(root.public), root.not_after))
    }

    /// The roots in PEM.
    pub fn to_pem(&self) -> String {
        let roots: Vec<CertificateDer<'static>> = self.roots().cloned().collect();
        crate::pem::encode(&roots)
    }

    /// Roots in force at `now`, in seconds since 1970.
    pub(crate) fn anchors(&self, now: u64) -> Vec<TrustAnchor<'_>> {
        let valid = self.roots.iter().filter(|root| root.not_before <= now && now <= root.not_after);
        valid.filter_map(|root| webpki::anchor_from_trusted_cert(&root.der).ok()).collect()
    }
}

/// A root known by its public key: `sha256:` and 64 hexadecimal digits. Enough for the first contact; the bundle comes with the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pin(pub(crate) [u8; 32]);

impl std::fmt::Display for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sha256:{}", crate::hex(&self.0))
    }
}

impl FromStr for Pin {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let wrong = || IdentityError::malformed("trust pin", "write sha256: and 64 hexadecimal digits");
        let digits = text.strip_prefix("sha256:").filter(|digits| digits.len() == 64 && digits.is_ascii());
        let digits = digits.ok_or_else(wrong)?;
        let mut pin = [0; 32];
        for (byte, pair) in pin.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
            if pair.starts_with('+') {
                return Err(wrong());
            }
            *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
        }
        Ok(Self(pin))
    }
}

#[cfg(test)]
mod tests;
