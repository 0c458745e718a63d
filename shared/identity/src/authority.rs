//! The certificate authority of a trust domain: a root of its own, or an intermediate that somebody else's root vouches for.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;

use crate::certificate::AuthorityCertificate;
use crate::{Bundle, IdentityError, Pin, PrivateKey, SigningRequest, SpiffeId, TrustDomain};

/// How long a leaf is valid.
pub const LEAF_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// The shortest that can be asked for.
pub const LEAF_LIFETIME_LEAST: Duration = Duration::from_secs(2);
/// How long a root is valid.
pub const ROOT_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// How far the clocks of a mesh may be apart: certificates are valid from so long before they were made, a tenth of their lifetime at most.
pub const SKEW: Duration = Duration::from_secs(5 * 60);
const WHAT: &str = "authority";

/// Signs for one trust domain.
pub struct Authority {
    domain: TrustDomain,
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate first, then those above it; a root that vouches for itself is not among those that follow.
    chain: Vec<AuthorityCertificate>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authority({})", self.domain)
    }
}

/// What was signed. Times are seconds since 1970.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Issued {
    /// The leaf first, then everything up to, and without, the root.
    pub chain: Vec<CertificateDer<'static>>,
    /// Not valid before.
    pub not_before: u64,
    /// Not valid after.
    pub not_after: u64,
}

/// Makes a root for a trust domain, valid from `now` (seconds since 1970), and returns it in PEM.
///
/// # Errors
/// The library failed.
pub fn new_root(domain: &TrustDomain, key: &PrivateKey, now: u64) -> Result<String, IdentityError> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.subject_alt_names = vec![SanType::URI(domain.uri().try_into().map_err(failed)?)];
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "weir");
    // A name of its own: which of several roots a chain ends at is told by name first.
    let name = format!("root {} of {domain}", crate::hex(&key.public()[..8]));
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(serial()?);
    params.not_before = at(now.saturating_sub(SKEW.as_secs()))?;
    params.not_after = at(now.saturating_add(ROOT_LIFETIME.as_secs()))?;
    let root = params.self_signed(key.pair()).map_err(failed)?;
    Ok(crate::pem::encode(std::slice::from_ref(root.der())))
}

impl Authority {
    /// Takes up an authority: its certificate and, for an intermediate, those above it, in PEM; and the key of the first one.
    ///
    /// # Errors
    /// The key is another's, or the first certificate is no authority's, of another trust domain, or not in force at `now`.
    pub fn from_pem(
        domain: &TrustDomain,
        certificates: &str,
        key: PrivateKey,
        now: u64,
    ) -> Result<Self, IdentityError> {
        let refused = |why: String| Err(IdentityError::refused(WHAT, why));
        let certificates = crate::pem::certificates("authority's certificate", certificates)?;
        let mut chain = Vec::new();
        for der in &certificates {
            chain.push(AuthorityCertificate::from_der(der)?);
        }
        let Some(own) = chain.first() else { return refused("it has no certificate".to_owned()) };
        if own.public != key.public() {
            return refused("its key is not that of its (first) certificate".to_owned());
        }
        if let Some(uri) = own.uri.as_deref().filter(|uri| *uri != domain.uri()) {
            return refused(format!("its certificate is for {uri}, not for {}", domain.uri()));
        }
        if now < own.not_before || now > own.not_after {
            return refused("its certificate is expired, or not valid yet".to_owned());
        }
        let issuer = Issuer::from_ca_cert_der(&own.der, key.into_pair()).map_err(failed)?;
        let own = chain.remove(0);
        chain.retain(|above| !above.self_issued);
        chain.insert(0, own);
        Ok(Self { domain: domain.clone(), issuer, chain })
    }

    /// For whom it signs.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.domain
    }

    /// SHA-256 of its public key.
    pub fn public(&self) -> [u8; 32] {
        self.chain.first().map(|own| own.public).unwrap_or_default()
    }

    /// The pin of the root it is, if it vouches for itself.
    pub fn pin(&self) -> Option<Pin> {
        self.chain.first().filter(|own| own.self_issued).map(|own| Pin(own.public))
    }

    /// Until when it can sign, in seconds since 1970.
    pub fn not_after(&self) -> u64 {
        self.chain.first().map_or(0, |own| own.not_after)
    }

    /// Whether it vouches for itself.
    pub fn is_root(&self) -> bool {
        self.chain.first().is_some_and(|own| own.self_issued)
    }

    /// Its own certificate as a bundle, if it is a root.
    ///
    /// # Errors
    /// It is an intermediate.
    pub fn as_bundle(&self) -> Result<Bundle, IdentityError> {
        match self.chain.first().filter(|own| own.self_issued) {
            Some(own) => Bundle::from_roots(std::slice::from_ref(&own.der), Some(&self.domain)),
            None => Err(IdentityError::refused(
                WHAT,
                "it is an intermediate; the roots above it must be given as a bundle of their own",
            )),
        }
    }

    /// Signs a leaf for `id`, for at most `lifetime` from `now` (seconds since 1970); shorter where the authority itself ends sooner.
    ///
    /// # Errors
    /// The request asks for another name, the name is of another trust domain, the authority is not in force, or the library failed.
    pub fn issue(
        &self,
        request: &SigningRequest,
        id: &SpiffeId,
        lifetime: Duration,
        now: u64,
    ) -> Result<Issued, IdentityError> {
        let refused = |why: String| Err(IdentityError::refused(WHAT, why));
        request.check(id)?;
        if *id.trust_domain() != self.domain {
            return refused(format!("it signs for {}, not for {}", self.domain, id.trust_domain()));
        }
        if request.public() == self.public() {
            return refused("the request is for the authority's own key".to_owned());
        }
        let lifetime = lifetime.max(LEAF_LIFETIME_LEAST).as_secs();
        let skew = SKEW.as_secs().min(lifetime / 10);
        let end = self.chain.iter().map(|above| above.not_after).min().unwrap_or(0);
        let (not_before, not_after) = (now.saturating_sub(skew), now.saturating_add(lifetime).min(end));
        if not_after <= now {
            return refused("it is expired itself; replace its root".to_owned());
        }
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![SanType::URI(id.to_string().try_into().map_err(failed)?)];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(serial()?);
        (params.not_before, params.not_after) = (at(not_before)?, at(not_after)?);
        let leaf = params.signed_by(&request.public_key, &self.issuer).map_err(failed)?;
        let above = self.chain.iter().filter(|above| !above.self_issued).map(|above| above.der.clone());
        let chain = std::iter::once(leaf.der().clone()).chain(above).collect();
        Ok(Issued { chain, not_before, not_after })
    }
}

fn failed(error: rcgen::Error) -> IdentityError {
    IdentityError::failed(format!("nothing can be signed: {error}"))
}

fn at(seconds: u64) -> Result<OffsetDateTime, IdentityError> {
    let time = i64::try_from(seconds).ok().and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    time.ok_or_else(|| IdentityError::failed(format!("no certificate can be valid at {seconds} s")))
}

/// 127 random bits, positive.
fn serial() -> Result<SerialNumber, IdentityError> {
    let mut bytes: [u8; 16] = crate::secret_bytes()?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

#[cfg(test)]
mod tests;
