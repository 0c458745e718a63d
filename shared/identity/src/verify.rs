//! Verifiers for rustls: a peer is who its certificate says if a root of the bundle vouches for it, and it is welcome if it is expected.
//! Host names and the system's roots say nothing here.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyUsage};

use crate::certificate::AuthorityCertificate;
use crate::{Bundle, IdentityError, Leaf, Pin, SpiffeId};

/// Longest chain looked at, in certificates.
const CHAIN: usize = 10;

/// Who may vouch for a peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trust {
    /// The roots of a trust domain.
    Bundle(Bundle),
    /// The root with this public key, which the peer has to show in its chain, and which names its trust domain.
    Pin(Pin),
}

/// Which of those somebody vouches for is welcome.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expected {
    /// Everybody of the trust domain.
    Anyone,
    /// These.
    Ids(Vec<SpiffeId>),
    /// The control plane of the trust domain.
    ControlPlane,
}

/// Checks peers' certificates.
#[derive(Debug)]
pub struct Verifier {
    trust: Trust,
    expected: Expected,
    /// Whether a client may come without a certificate.
    optional: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    /// One for servers.
    pub fn of_servers(trust: Trust, expected: Expected) -> Arc<Self> {
        Arc::new(Self::new(trust, expected, false))
    }

    /// One for clients. Where `optional`, one without a certificate is let in as nobody; one with a wrong certificate never is.
    pub fn of_clients(bundle: Bundle, expected: Expected, optional: bool) -> Arc<Self> {
        Arc::new(Self::new(Trust::Bundle(bundle), expected, optional))
    }

    fn new(trust: Trust, expected: Expected, optional: bool) -> Self {
        let algorithms = crate::provider().signature_verification_algorithms;
        Self { trust, expected, optional, algorithms }
    }

    /// Checks a chain at `now`, and says who showed it.
    ///
    /// # Errors
    /// Nobody vouches for it, it is not in force, it is no leaf of a SPIFFE id, or its holder is not expected.
    pub fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
        usage: impl ExtendedKeyUsageValidator,
    ) -> Result<Leaf, Error> {
        if chain.len() > CHAIN {
            return Err(other(IdentityError::malformed("certificate chain", "it is longer than 10")));
        }
        match &self.trust {
            Trust::Bundle(bundle) => self.verify_with(bundle, leaf, chain, now, usage),
            Trust::Pin(pin) => {
                let pinned = chain.iter().find(|above| {
                    AuthorityCertificate::from_der(above).is_ok_and(|above| above.public == pin.0)
                });
                let Some(pinned) = pinned else {
                    return Err(other(IdentityError::refused(
                        "certificate chain",
                        format!("no authority in it has the pinned key {pin}"),
                    )));
                };
                let bundle = Bundle::from_roots(std::slice::from_ref(pinned), None).map_err(other)?;
                self.verify_with(&bundle, leaf, chain, now, usage)
            }
        }
    }

    fn verify_with(
        &self,
        bundle: &Bundle,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
        usage: impl ExtendedKeyUsageValidator,
    ) -> Result<Leaf, Error> {
        let anchors = bundle.anchors(now.as_secs());
        let certificate = EndEntityCert::try_from(leaf).map_err(of_webpki)?;
        certificate
            .verify_for_usage(self.algorithms.all, &anchors, chain, now, usage, None, None)
            .map_err(of_webpki)?;
        let leaf = Leaf::from_der(leaf).map_err(other)?;
        if leaf.id.trust_domain() != bundle.trust_domain() {
            return Err(other(IdentityError::refused(
                "certificate",
                format!("{} is not of the trust domain {}", leaf.id, bundle.trust_domain()),
            )));
        }
        let (welcome, wanted) = match &self.expected {
            Expected::Anyone => (true, String::new()),
            Expected::ControlPlane => (leaf.id.is_control_plane(), "the control plane".to_owned()),
            Expected::Ids(ids) => {
                let all: Vec<String> = ids.iter().map(ToString::to_string).collect();
                (ids.contains(&leaf.id), all.join(" or "))
            }
        };
        if welcome {
            Ok(leaf)
        } else {
            Err(other(IdentityError::refused(
                "certificate",
                format!("it is of {}, not of {wanted}", leaf.id),
            )))
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(leaf, chain, now, KeyUsage::server_auth()).map(|_| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        !self.optional
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // Whoever connects knows which certificate it has for this trust domain.
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(leaf, chain, now, KeyUsage::client_auth()).map(|_| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Alerts tell the peer what it can act on.
fn of_webpki(error: webpki::Error) -> Error {
    Error::InvalidCertificate(match error {
        webpki::Error::BadDer => CertificateError::BadEncoding,
        webpki::Error::CertExpired { time, not_after } => {
            CertificateError::ExpiredContext { time, not_after }
        }
        webpki::Error::CertNotValidYet { time, not_before } => {
            CertificateError::NotValidYetContext { time, not_before }
        }
        webpki::Error::UnknownIssuer => CertificateError::UnknownIssuer,
        error => CertificateError::Other(OtherError(Arc::new(error))),
    })
}

fn other(error: IdentityError) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))
}

#[cfg(test)]
mod tests;
