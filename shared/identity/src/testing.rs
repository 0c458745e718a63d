//! Authorities and certificates for tests, good ones and wrong ones.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::time_provider::TimeProvider;

use crate::{Authority, Bundle, Identity, PrivateKey, SigningRequest, SpiffeId, TrustDomain, authority};

/// Now, in all tests: seconds since 1970.
pub(crate) const NOW: u64 = 1_900_000_000;

/// A clock that stands still.
#[derive(Debug)]
pub(crate) struct At(pub(crate) u64);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0)))
    }
}

/// A trust domain with one root.
pub(crate) struct Domain {
    pub(crate) domain: TrustDomain,
    pub(crate) authority: Authority,
    pub(crate) bundle: Bundle,
    /// The root's key and certificate again, to make what the authority would not.
    key: String,
    root: String,
}

impl Domain {
    pub(crate) fn new(name: &str) -> Self {
        let domain: TrustDomain = name.parse().unwrap();
        let key = PrivateKey::generate().unwrap();
        let pem = key.to_pem().to_string();
        let root = authority::new_root(&domain, &key, NOW - 1000).unwrap();
        let authority = Authority::from_pem(&domain, &root, key, NOW).unwrap();
        let bundle = authority.as_bundle().unwrap();
        Self { domain, authority, bundle, key: pem, root }
    }

    pub(crate) fn id(&self, account: &str) -> SpiffeId {
        SpiffeId::workload(&self.domain, &account.parse().unwrap())
    }

    /// An identity issued at `now`, for an hour.
    pub(crate) fn identity_at(&self, id: &SpiffeId, now: u64) -> Identity {
        let key = PrivateKey::generate().unwrap();
        let request = SigningRequest::from_der(&key.request(None).unwrap()).unwrap();
        let issued = self.authority.issue(&request, id, Duration::from_secs(3600), now).unwrap();
        Identity::new(Arc::new(key), issued.chain, self.bundle.clone()).unwrap()
    }

    pub(crate) fn identity(&self, account: &str) -> Identity {
        self.identity_at(&self.id(account), NOW)
    }

    /// A leaf that the authority would never sign.
    pub(crate) fn forged(&self, change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![uri(&self.id("a/b").to_string())];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.not_before = time(NOW - 10);
        params.not_after = time(NOW + 10);
        change(&mut params);
        let issuer = Issuer::from_ca_cert_pem(&self.root, KeyPair::from_pem(&self.key).unwrap()).unwrap();
        params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().clone()
    }

    /// An authority below this one: its certificate in PEM, and its key.
    pub(crate) fn intermediate(&self) -> (String, PrivateKey) {
        let key = PrivateKey::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.not_before = time(NOW - 10);
        params.not_after = time(NOW + 7200);
        let issuer = Issuer::from_ca_cert_pem(&self.root, KeyPair::from_pem(&self.key).unwrap()).unwrap();
        (params.signed_by(key.pair(), &issuer).unwrap().pem(), key)
    }
}

pub(crate) fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

pub(crate) fn time(seconds: u64) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).unwrap()).unwrap()
}
