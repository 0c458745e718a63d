//! Who this sidecar is: it gets a certificate for a proof, keeps it in the state directory, and renews it from half of its life on. Whoever speaks
//! TLS for it takes the configuration of the moment from [`Secrets`], and hears of the next one.
//!
//! What was got outlives this process and the control plane: while a certificate is in force nobody is needed. The key is made here and kept
//! before its certificate is asked for, so that an answer which was lost can be asked for again; renewals come with a new key.
//! When to ask is decided in `weir-identity`; this is the shell around it.

mod files;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use weir_identity::tls::{self, ClientConfig, Settings};
use weir_identity::{Expected, Identity, PrivateKey, Trust, renew};
use weir_model::Random;
use weir_proto::identity::v1 as wire;
use weir_proto::identity::v1::exchange_request::Proof as WireProof;
use weir_proto::identity::v1::identity_service_client::IdentityServiceClient;
use weir_runtime::clock;
use zeroize::Zeroizing;

use crate::client::{ControlPlanes, connect, describe};
use files::Files;

/// How long a control plane may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// The wall clock is looked at so often: it may be set.
const LOOK: Duration = Duration::from_secs(30);

/// What a sidecar proves itself with before it has a certificate. Neither is shown when debugged.
#[derive(Clone)]
pub enum Proof {
    /// A token that is used once.
    JoinToken(Zeroizing<String>),
    /// A file with such a token.
    JoinTokenFile(PathBuf),
    /// A file with a Kubernetes service account's token, which the kubelet keeps fresh.
    ServiceAccountTokenFile(PathBuf),
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::JoinToken(_) => f.write_str("JoinToken"),
            Self::JoinTokenFile(path) => write!(f, "JoinTokenFile({})", path.display()),
            Self::ServiceAccountTokenFile(path) => write!(f, "ServiceAccountTokenFile({})", path.display()),
        }
    }
}

impl PartialEq for Proof {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::JoinToken(one), Self::JoinToken(other)) => **one == **other,
            (Self::JoinTokenFile(one), Self::JoinTokenFile(other))
            | (Self::ServiceAccountTokenFile(one), Self::ServiceAccountTokenFile(other)) => one == other,
            _ => false,
        }
    }
}

impl Eq for Proof {}

/// What the task needs to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IdentityOptions {
    /// Whom to believe that it is the control plane, for the first certificate.
    pub trust: Trust,
    /// What to show for it; absent, there must be a certificate in the state directory.
    pub proof: Option<Proof>,
    /// Where key and certificate are kept; nowhere if absent.
    pub state_dir: Option<PathBuf>,
    /// Seed of the jitter.
    pub seed: u64,
}

/// The identity of the moment. Each clone sees every change.
#[derive(Clone, Debug)]
pub struct Secrets {
    current: watch::Receiver<Option<Arc<Identity>>>,
}

impl Secrets {
    /// The identity, if there is one yet.
    pub fn get(&self) -> Option<Arc<Identity>> {
        self.current.borrow().clone()
    }

    /// Waits until there is one.
    pub async fn there(&mut self) {
        if self.current.wait_for(Option::is_some).await.is_err() {
            std::future::pending().await
        }
    }

    /// Waits for another one than was seen last.
    pub async fn changed(&mut self) {
        if self.current.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// How to speak to the control plane now; the identity counts as seen.
    ///
    /// # Errors
    /// There is no identity yet, or the library refuses it.
    pub fn client(&mut self) -> Result<Arc<ClientConfig>, String> {
        let identity = self.current.borrow_and_update().clone().ok_or("there is no certificate yet")?;
        to_control_plane(&identity)
    }
}

fn to_control_plane(identity: &Identity) -> Result<Arc<ClientConfig>, String> {
    let trust = Trust::Bundle(identity.bundle().clone());
    tls::client(Some(identity), trust, Expected::ControlPlane, &Settings::grpc())
        .map_err(|error| error.to_string())
}

/// Reads what is kept and starts the task on the current runtime; it goes on until the last [`Secrets`] is gone.
///
/// # Errors
/// What is kept is open to others.
pub fn start(options: IdentityOptions, control_planes: ControlPlanes) -> Result<Secrets, String> {
    let files = Files::new(options.state_dir.clone());
    let kept = files.load()?;
    let (publish, current) = watch::channel(kept.map(Arc::new));
    let task = Task { random: Random::new(options.seed), options, control_planes, files, publish };
    tokio::spawn(task.run());
    Ok(Secrets { current })
}

struct Task {
    options: IdentityOptions,
    control_planes: ControlPlanes,
    files: Files,
    publish: watch::Sender<Option<Arc<Identity>>>,
    random: Random,
}

impl Task {
    async fn run(mut self) {
        let mut attempt = 0;
        loop {
            let current = self.publish.borrow().clone();
            let left = current
                .as_ref()
                .map_or(0, |identity| (identity.leaf().not_after * 1000).saturating_sub(millis()));
            let valid = current.filter(|_| left > 0);
            if let Some(identity) = &valid
                && attempt == 0
            {
                let leaf = identity.leaf();
                let at = renew::renew_at(leaf.not_before * 1000, leaf.not_after * 1000, &mut self.random);
                if self.wait_until(at).await {
                    return;
                }
            }
            let got = match &valid {
                Some(identity) => self.renew(identity).await,
                None => self.exchange().await,
            };
            match got {
                Ok(identity) => {
                    attempt = 0;
                    let seconds = identity.leaf().not_after.saturating_sub(millis() / 1000);
                    tracing::info!("this sidecar is {} for the next {seconds} s", identity.id());
                    self.files.save(&identity).await;
                    if self.publish.send(Some(Arc::new(identity))).is_err() {
                        return;
                    }
                }
                Err(why) => {
                    let wait = renew::retry_after(attempt, Duration::from_millis(left), &mut self.random);
                    attempt = attempt.saturating_add(1);
                    tracing::warn!("no new certificate: {why}; next attempt in {wait:?}");
                    if self.wait_until(millis() + wait.as_millis() as u64).await {
                        return;
                    }
                }
            }
        }
    }

    /// Waits for a moment of the wall clock, in milliseconds; whether nobody needs certificates any more.
    async fn wait_until(&self, at: u64) -> bool {
        loop {
            let left = Duration::from_millis(at.saturating_sub(millis()));
            if left.is_zero() {
                return self.publish.is_closed();
            }
            tokio::select! {
                () = self.publish.closed() => return true,
                () = tokio::time::sleep(left.min(LOOK)) => {}
            }
        }
    }

    /// The first certificate, for a proof.
    async fn exchange(&mut self) -> Result<Identity, String> {
        let key = self.files.first_key().await?;
        let proof = self.proof()?;
        let config = tls::client(None, self.options.trust.clone(), Expected::ControlPlane, &Settings::grpc())
            .map_err(|error| error.to_string())?;
        let request = key.request(None).map_err(|error| error.to_string())?;
        let mut why = String::new();
        for uri in self.secured() {
            let message = wire::ExchangeRequest { request: request.clone(), proof: Some(proof.clone()) };
            let answer = async {
                let channel = connect(&uri, Some(config.clone())).await?;
                let answer = IdentityServiceClient::new(channel).exchange(message).await;
                answer.map_err(|status| format!("it refused: {}", describe(&status)))
            };
            match limited(answer).await.and_then(|answer| identity(key.clone(), answer.into_inner())) {
                Ok(identity) => return Ok(identity),
                Err(error) => why = format!("control plane {uri}: {error}"),
            }
        }
        Err(why)
    }

    /// The next certificate, for the last one.
    async fn renew(&self, current: &Identity) -> Result<Identity, String> {
        let key = Arc::new(PrivateKey::generate().map_err(|error| error.to_string())?);
        let request = key.request(Some(current.id())).map_err(|error| error.to_string())?;
        let config = to_control_plane(current)?;
        let mut why = String::new();
        for uri in self.secured() {
            let message = wire::RenewRequest { request: request.clone() };
            let answer = async {
                let channel = connect(&uri, Some(config.clone())).await?;
                let answer = IdentityServiceClient::new(channel).renew(message).await;
                answer.map_err(|status| format!("it refused: {}", describe(&status)))
            };
            match limited(answer).await.and_then(|answer| identity(key.clone(), answer.into_inner())) {
                Ok(identity) => return Ok(identity),
                Err(error) => why = format!("control plane {uri}: {error}"),
            }
        }
        Err(why)
    }

    /// Control planes that are spoken to with TLS.
    fn secured(&self) -> Vec<String> {
        self.control_planes.uris().iter().filter(|uri| uri.starts_with("https://")).cloned().collect()
    }

    fn proof(&self) -> Result<WireProof, String> {
        let secret = |path: &PathBuf, read: fn(&std::path::Path) -> Result<Option<String>, String>| {
            let text = read(path)?.ok_or_else(|| format!("{} is not there", path.display()))?;
            Ok::<_, String>(text.trim().to_owned())
        };
        match &self.options.proof {
            Some(Proof::JoinToken(token)) => Ok(WireProof::JoinToken(token.to_string())),
            Some(Proof::JoinTokenFile(path)) => Ok(WireProof::JoinToken(secret(path, files::secret)?)),
            // The kubelet decides who may read it.
            Some(Proof::ServiceAccountTokenFile(path)) => {
                Ok(WireProof::ServiceAccountToken(secret(path, files::public)?))
            }
            None => Err("there is no certificate that is in force, and nothing to get one for: add --join-token-file or \
                         --service-account-token-file"
                .to_owned()),
        }
    }
}

async fn limited<T>(answer: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let limited = tokio::time::timeout(ANSWER, answer).await;
    limited.unwrap_or_else(|_| Err(format!("no answer within {ANSWER:?}")))
}

fn identity(key: Arc<PrivateKey>, answer: wire::Certificate) -> Result<Identity, String> {
    let bundle = answer.bundle.ok_or("its answer has no bundle")?;
    Identity::from_answer(key, answer.chain, &bundle.trust_domain, bundle.roots)
        .map_err(|error| format!("its answer cannot be used: {error}"))
}

fn millis() -> u64 {
    clock::unix_nanos() / 1_000_000
}
