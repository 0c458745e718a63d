//! TLS configurations from secrets: TLS 1.3 only, X25519MLKEM768 first, sessions resumed.
//!
//! A configuration is a value of one moment. When a certificate or the bundle changes, a shell makes a new one for its next connections and
//! leaves open ones alone. Tickets are sealed by a key of the configuration, so that no session outlives what it was verified under.
//! A resumed session does not show its certificate again: [`peer`] says who it is from the first time, and whether that is still in force.

use std::sync::Arc;

use rustls::CommonState;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::CertificateDer;
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use rustls::version::TLS13;
pub use rustls::{ClientConfig, ServerConfig};
use zeroize::Zeroizing;

use crate::verify::Verifier;
use crate::{Bundle, Expected, IdentityError, Leaf, PrivateKey, SpiffeId, Trust};

/// A name, the key that proves it, the certificate that says so, and the roots to check others against.
#[derive(Clone, Debug)]
pub struct Identity {
    key: Arc<PrivateKey>,
    chain: Vec<CertificateDer<'static>>,
    leaf: Leaf,
    bundle: Bundle,
}

impl Identity {
    /// Puts one together.
    ///
    /// # Errors
    /// The chain is empty, its leaf says no SPIFFE id of the bundle's trust domain, or the key is another's.
    pub fn new(
        key: Arc<PrivateKey>,
        chain: Vec<CertificateDer<'static>>,
        bundle: Bundle,
    ) -> Result<Self, IdentityError> {
        let refused = |why: String| Err(IdentityError::refused("identity", why));
        let Some(first) = chain.first() else { return refused("it has no certificate".to_owned()) };
        let leaf = Leaf::from_der(first)?;
        if leaf.public != key.public() {
            return refused("its key is not that of its certificate".to_owned());
        }
        if leaf.id.trust_domain() != bundle.trust_domain() {
            return refused(format!("{} is not of the trust domain {}", leaf.id, bundle.trust_domain()));
        }
        Ok(Self { key, chain, leaf, bundle })
    }

    /// Reads what [`Identity::to_pem`] wrote, and the bundle beside it.
    ///
    /// # Errors
    /// As [`Identity::new`], or it is not PEM.
    pub fn from_pem(text: &str, bundle: Bundle) -> Result<Self, IdentityError> {
        let begin = text.find("-----BEGIN CERTIFICATE").ok_or_else(|| {
            IdentityError::malformed("identity", "it has no certificate after its private key")
        })?;
        let (key, chain) = text.split_at(begin);
        let chain = crate::pem::certificates("identity", chain)?;
        Self::new(Arc::new(PrivateKey::from_pem(key)?), chain, bundle)
    }

    /// The same with the roots in PEM, of the trust domain that the certificate names.
    ///
    /// # Errors
    /// As [`Identity::from_pem`] and [`Bundle::from_pem`].
    pub fn from_pems(text: &str, roots: &str) -> Result<Self, IdentityError> {
        let begin = text.find("-----BEGIN CERTIFICATE").unwrap_or(text.len());
        let chain = crate::pem::certificates("identity", text.get(begin..).unwrap_or_default())?;
        let leaf = Leaf::from_der(chain.first().map(|der| der.as_ref()).unwrap_or_default())?;
        Self::from_pem(text, Bundle::from_pem(roots, Some(leaf.id.trust_domain()))?)
    }

    /// The key and the chain in one text, so that neither is ever written without the other.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let mut text = self.key.to_pem();
        text.push_str(&crate::pem::encode(&self.chain));
        text
    }

    /// The same identity with another bundle.
    ///
    /// # Errors
    /// The bundle is of another trust domain.
    pub fn with_bundle(&self, bundle: Bundle) -> Result<Self, IdentityError> {
        Self::new(self.key.clone(), self.chain.clone(), bundle)
    }

    /// Puts one together from what an authority answered: certificates and roots in DER.
    ///
    /// # Errors
    /// As [`Identity::new`] and [`Bundle::from_roots`].
    pub fn from_answer(
        key: Arc<PrivateKey>,
        chain: Vec<Vec<u8>>,
        trust_domain: &str,
        roots: Vec<Vec<u8>>,
    ) -> Result<Self, IdentityError> {
        let der = |all: Vec<Vec<u8>>| all.into_iter().map(CertificateDer::from).collect::<Vec<_>>();
        let bundle = Bundle::from_roots(&der(roots), Some(&trust_domain.parse()?))?;
        Self::new(key, der(chain), bundle)
    }

    /// Whose it is.
    pub fn id(&self) -> &SpiffeId {
        &self.leaf.id
    }

    /// What its certificate says.
    pub fn leaf(&self) -> &Leaf {
        &self.leaf
    }

    /// The roots others are checked against.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// The key, to ask for the next certificate.
    pub fn key(&self) -> &Arc<PrivateKey> {
        &self.key
    }

    /// The certificate and those above it.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }
}

/// What a server asks of its clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Clients {
    /// Who is welcome.
    pub expected: Expected,
    /// Whether one without a certificate is let in, as nobody.
    pub optional: bool,
}

/// What both ends are made with besides secrets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Application protocols, the preferred one first.
    pub alpn: Vec<Vec<u8>>,
    /// What certificates are compared with.
    pub clock: Arc<dyn TimeProvider>,
    /// Whether a server shows its roots after its chain, for clients that know only a root's [`Pin`](crate::Pin).
    pub shows_roots: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { alpn: Vec::new(), clock: Arc::new(DefaultTimeProvider), shows_roots: false }
    }
}

impl Settings {
    /// For gRPC: HTTP/2 and nothing else.
    pub fn grpc() -> Self {
        Self { alpn: vec![b"h2".to_vec()], ..Self::default() }
    }
}

/// A server's configuration.
///
/// # Errors
/// The library refuses the secrets.
pub fn server(
    identity: &Identity,
    clients: Clients,
    settings: &Settings,
) -> Result<Arc<ServerConfig>, IdentityError> {
    let mut chain = identity.chain.clone();
    if settings.shows_roots {
        chain.extend(identity.bundle.roots().cloned());
    }
    let verifier = Verifier::of_clients(identity.bundle.clone(), clients.expected, clients.optional);
    let mut config = ServerConfig::builder_with_details(crate::provider(), settings.clock.clone())
        .with_protocol_versions(&[&TLS13])
        .map_err(failed)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, identity.key.der())
        .map_err(failed)?;
    config.alpn_protocols = settings.alpn.clone();
    config.ticketer = Ticketer::new().map_err(failed)?;
    Ok(Arc::new(config))
}

/// A client's configuration; without an identity it comes as nobody.
///
/// # Errors
/// The library refuses the secrets.
pub fn client(
    identity: Option<&Identity>,
    trust: Trust,
    expected: Expected,
    settings: &Settings,
) -> Result<Arc<ClientConfig>, IdentityError> {
    let builder = ClientConfig::builder_with_details(crate::provider(), settings.clock.clone())
        .with_protocol_versions(&[&TLS13])
        .map_err(failed)?
        .dangerous()
        .with_custom_certificate_verifier(Verifier::of_servers(trust, expected));
    let mut config = match identity {
        Some(identity) => {
            builder.with_client_auth_cert(identity.chain.clone(), identity.key.der()).map_err(failed)?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = settings.alpn.clone();
    // Peers are told apart by what they prove, never by a name that the network could read.
    config.enable_sni = false;
    Ok(Arc::new(config))
}

/// Who is at the other end of a connection whose handshake is done; `None` for one who showed no certificate.
///
/// # Errors
/// Its certificate is not in force at `now` (seconds since 1970): a resumed session may outlive it.
pub fn peer(connection: &CommonState, now: u64) -> Result<Option<Leaf>, IdentityError> {
    let Some(first) = connection.peer_certificates().and_then(<[_]>::first) else { return Ok(None) };
    let leaf = Leaf::from_der(first)?;
    leaf.check(now)?;
    Ok(Some(leaf))
}

fn failed(error: rustls::Error) -> IdentityError {
    IdentityError::failed(format!("no TLS with this identity: {error}"))
}

#[cfg(test)]
mod tests;
