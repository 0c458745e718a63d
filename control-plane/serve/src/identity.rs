//! The control plane's secrets: it is the certificate authority of its trust domain, knows tokens, and proves who it is itself.
//!
//! On disk, below the data directory: `identity/` holds a store (roots, tokens as digests; the mechanism policy is kept with) and each root's key
//! in a file closed to others. A key is on the disk before the store names its root, so that a crash leaves at most a key nobody uses.
//!
//! [`service`] is what data planes ask, [`admin`] what operators do; `roots` decides how one root follows another, [`tokens`] which token opens
//! what, [`kubernetes`] which service-account tokens are believed.

pub mod admin;
pub mod kubernetes;
mod roots;
pub mod service;
pub mod tokens;

use parking_lot::{Mutex, RwLock};
use roots::{Root, Roots, State};
use rustls::ServerConfig;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokens::Tokens;
use weir_identity::tls::{Clients, Settings as TlsSettings};
use weir_identity::token::{Grant, TokenError};
use weir_identity::{
    Authority, Bundle, Expected, Identity, IdentityError, Issued, PrivateKey, Role, SigningRequest, SpiffeId,
    TrustDomain, authority, file, renew, tls,
};
use weir_model::Random;
use weir_store::{Attribution, Change, Embedded, Options, Store};

const DIRECTORY: &str = "identity";
const ROOTS_KEY: &str = "roots";
const ADMIN_TOKEN: &str = "admin-token";
/// Commits of the identities' store that are kept: what it holds matters, not how it came to be.
const HISTORY: usize = 100;

/// What an operator chooses.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whose authority this is.
    pub trust_domain: TrustDomain,
    /// How long leaves are valid.
    pub leaf_lifetime: Duration,
    /// An authority from outside, in place of a root of its own.
    pub external: Option<External>,
    /// Which service-account tokens are believed; none if absent.
    pub kubernetes: Option<kubernetes::Settings>,
}

/// An authority that somebody else's root vouches for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct External {
    /// Its certificate and those above it, in PEM.
    pub certificate: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
    /// The roots that workloads are to trust, in PEM.
    pub roots: PathBuf,
}

/// The control plane's identities.
pub struct Identities {
    settings: Settings,
    directory: PathBuf,
    store: Arc<dyn Store>,
    tokens: Tokens,
    current: RwLock<Arc<Current>>,
    random: Mutex<Random>,
}

/// What signs and is trusted at one moment.
struct Current {
    authority: Authority,
    bundle: Bundle,
    tls: Arc<ServerConfig>,
    /// When the control plane's own certificate is to be renewed, in milliseconds since 1970.
    renew_at: u64,
}

impl Identities {
    /// Opens what is below `data_dir`, or begins it: a new root, and a token for the first admin in the file `identity/admin-token`.
    ///
    /// # Errors
    /// For the operator: what cannot be used, and the mend.
    pub fn open(
        data_dir: &Path,
        settings: Settings,
        now_millis: u64,
        seed: u64,
    ) -> Result<Arc<Self>, String> {
        let directory = data_dir.join(DIRECTORY);
        let told = |error: IdentityError| error.to_string();
        file::make_directory(&directory).map_err(told)?;
        let options = Options { history_revisions: HISTORY, ..Options::default() };
        let store: Arc<dyn Store> =
            Arc::new(Embedded::open(&directory, options).map_err(|error| error.to_string())?);
        let mut random = Random::new(seed);
        let now = now_millis / 1000;
        if settings.external.is_none() && read_roots(&*store)?.is_none() {
            let root = new_root(&directory, &settings.trust_domain, State::Signing, now).map_err(told)?;
            let roots = Roots { trust_domain: settings.trust_domain.to_string(), roots: vec![root] };
            write_roots(&*store, &roots, "begin", now_millis)?;
        }
        let current = load(&directory, &*store, &settings, now_millis, &mut random)?;
        let tokens = Tokens::new(Arc::clone(&store));
        let identities = Self {
            tokens,
            directory,
            store,
            settings,
            current: RwLock::new(Arc::new(current)),
            random: Mutex::new(random),
        };
        identities.first_admin(now)?;
        Ok(Arc::new(identities))
    }

    /// Somebody has to be the first who may let others in.
    fn first_admin(&self, now: u64) -> Result<(), String> {
        let is_admin = |grant: &Grant| matches!(grant, Grant::Api { role: Role::Admin, .. });
        if self.tokens.list().iter().any(|(_, record)| is_admin(&record.grant)) {
            return Ok(());
        }
        let grant = Grant::Api { role: Role::Admin, name: "first-admin".to_owned() };
        let (token, ..) =
            self.tokens.create(grant, "control plane", None, now).map_err(|error| error.to_string())?;
        let path = self.directory.join(ADMIN_TOKEN);
        file::write_secret(&path, &format!("{}\n", *token)).map_err(|error| error.to_string())?;
        tracing::info!("a token for the first admin is in {}", path.display());
        Ok(())
    }

    /// Whose authority this is.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.settings.trust_domain
    }

    /// The configuration with which the doors speak TLS now.
    pub fn tls(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().tls)
    }

    /// The roots that are trusted now.
    pub fn bundle(&self) -> Bundle {
        self.current.read().bundle.clone()
    }

    /// The pin to give to newcomers: of the root that vouches for this control plane now.
    pub fn pin(&self) -> String {
        let current = Arc::clone(&self.current.read());
        let first = || current.bundle.pins().next().map(|(pin, _)| pin);
        current.authority.pin().or_else(first).map(|pin| pin.to_string()).unwrap_or_default()
    }

    /// The tokens.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Who shows a bearer token, and what it may do.
    ///
    /// # Errors
    /// It opens nothing.
    pub fn bearer(&self, token: &str) -> Result<(Role, String), TokenError> {
        self.tokens.bearer(token, crate::plane::unix_millis() / 1000)
    }

    /// Signs a request for `id`.
    ///
    /// # Errors
    /// The request asks for something else, or nothing can be signed.
    pub fn issue(
        &self,
        request: &SigningRequest,
        id: &SpiffeId,
        now: u64,
    ) -> Result<(Issued, Bundle), IdentityError> {
        let current = Arc::clone(&self.current.read());
        let issued = current.authority.issue(request, id, self.settings.leaf_lifetime, now)?;
        Ok((issued, current.bundle.clone()))
    }

    /// Renews the control plane's own certificate for as long as the future is polled.
    pub async fn run(&self) {
        loop {
            let wait = self.current.read().renew_at.saturating_sub(crate::plane::unix_millis());
            // The wall clock may be set meanwhile.
            tokio::time::sleep(Duration::from_millis(wait).min(Duration::from_secs(60))).await;
            let now = crate::plane::unix_millis();
            if now < self.current.read().renew_at {
                continue;
            }
            if let Err(error) = self.reload(now) {
                tracing::error!("the control plane's own certificate cannot be renewed: {error}");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }

    fn reload(&self, now_millis: u64) -> Result<(), String> {
        let current =
            load(&self.directory, &*self.store, &self.settings, now_millis, &mut self.random.lock())?;
        *self.current.write() = Arc::new(current);
        Ok(())
    }

    /// How long it takes, in seconds, until every sidecar that runs has renewed its certificate, and so heard of the roots.
    fn heard(&self) -> u64 {
        let lifetime = self.settings.leaf_lifetime.as_secs();
        lifetime * 6 / 10 + lifetime / 20 + 1
    }

    /// Takes the replacement of the root one step further. Waits for the disk.
    fn rotate(&self, step: Step, force: bool, now_millis: u64) -> Result<(), String> {
        if self.settings.external.is_some() {
            return Err(
                "the root is kept elsewhere: replace the files of --ca-certificate, --ca-key and --ca-roots"
                    .to_owned(),
            );
        }
        let now = now_millis / 1000;
        let mut roots = read_roots(&*self.store)?.ok_or("there is no root")?;
        let message = match step {
            Step::Prepare => {
                let root = new_root(&self.directory, &self.settings.trust_domain, State::Next, now);
                roots.prepare(root.map_err(|error| error.to_string())?)?;
                "prepare the next root"
            }
            Step::Activate => {
                roots.activate(self.heard(), now, force)?;
                "activate the next root"
            }
            Step::Retire => {
                roots.retire(self.settings.leaf_lifetime.as_secs(), now, force)?;
                "retire old roots"
            }
        };
        write_roots(&*self.store, &roots, message, now_millis)?;
        self.reload(now_millis)
    }

    fn roots(&self) -> Result<Option<Roots>, String> {
        match self.settings.external {
            Some(_) => Ok(None),
            None => read_roots(&*self.store),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Prepare,
    Activate,
    Retire,
}

fn new_root(directory: &Path, domain: &TrustDomain, state: State, now: u64) -> Result<Root, IdentityError> {
    let key = PrivateKey::generate()?;
    let certificate = authority::new_root(domain, &key, now)?;
    let public = weir_identity::hex(&key.public());
    file::write_secret(&key_path(directory, &public), &key.to_pem())?;
    Ok(Root { public, certificate, state, since: now })
}

fn key_path(directory: &Path, public: &str) -> PathBuf {
    directory.join(format!("root-{}.key", public.get(..16).unwrap_or(public)))
}

fn read_roots(store: &dyn Store) -> Result<Option<Roots>, String> {
    let state = store.state();
    let Some(entry) = state.entries.get(ROOTS_KEY) else { return Ok(None) };
    Roots::decode(&entry.value).map(Some).ok_or_else(|| {
        "the roots in the identities' store are not readable; run the version that wrote them".to_owned()
    })
}

fn write_roots(store: &dyn Store, roots: &Roots, message: &str, unix_millis: u64) -> Result<(), String> {
    let by = Attribution { author: "control plane".to_owned(), message: message.to_owned(), unix_millis };
    let put = Change::Put { key: ROOTS_KEY.to_owned(), value: roots.encode().into() };
    store.apply(None, vec![put], by).map(drop).map_err(|error| error.to_string())
}

fn load(
    directory: &Path,
    store: &dyn Store,
    settings: &Settings,
    now_millis: u64,
    random: &mut Random,
) -> Result<Current, String> {
    let told = |error: IdentityError| error.to_string();
    let (domain, now) = (&settings.trust_domain, now_millis / 1000);
    let required =
        |path: &Path, text: Option<String>| text.ok_or_else(|| format!("{} is not there", path.display()));
    let secret = |path: &Path| -> Result<PrivateKey, String> {
        let text = file::read_secret(path).map_err(told)?;
        let text =
            text.ok_or_else(|| format!("{} is not there; restore it from a backup", path.display()))?;
        PrivateKey::from_pem(&text).map_err(|error| format!("{}: {error}", path.display()))
    };
    let (authority, bundle) = match &settings.external {
        Some(external) => {
            let public = |path: &Path| required(path, file::read_public(path).map_err(told)?);
            let roots = Bundle::from_pem(&public(&external.roots)?, Some(domain)).map_err(told)?;
            let key = secret(&external.key)?;
            (Authority::from_pem(domain, &public(&external.certificate)?, key, now).map_err(told)?, roots)
        }
        None => {
            let roots = read_roots(store)?.ok_or("there is no root")?;
            if roots.trust_domain != domain.as_str() {
                return Err(format!(
                    "the data directory is of the trust domain {}, not of {domain}; start with --trust-domain {}, or with another directory",
                    roots.trust_domain, roots.trust_domain
                ));
            }
            let signing = roots.signing().ok_or("no root signs")?;
            let key = secret(&key_path(directory, &signing.public))?;
            let authority = Authority::from_pem(domain, &signing.certificate, key, now).map_err(told)?;
            (authority, Bundle::from_pem(&roots.pem(), Some(domain)).map_err(told)?)
        }
    };
    let key = PrivateKey::generate().map_err(told)?;
    let request = SigningRequest::from_der(&key.request(None).map_err(told)?).map_err(told)?;
    let issued = authority
        .issue(&request, &SpiffeId::control_plane(domain), settings.leaf_lifetime, now)
        .map_err(told)?;
    let renew_at = renew::renew_at(issued.not_before * 1000, issued.not_after * 1000, random);
    let identity = Identity::new(Arc::new(key), issued.chain, bundle.clone()).map_err(told)?;
    let clients = Clients { expected: Expected::Anyone, optional: true };
    let tls_settings = TlsSettings { shows_roots: true, ..TlsSettings::grpc() };
    let tls = tls::server(&identity, clients, &tls_settings).map_err(told)?;
    Ok(Current { authority, bundle, tls, renew_at })
}

#[cfg(test)]
mod tests;
