//! The connection to the control plane's door for operators.

use crate::args::Credentials;
use anyhow::{Context, anyhow, bail};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use weir_identity::tls::{ClientConfig, Settings};
use weir_identity::{Bundle, Expected, Identity, Trust, file, tls};
use weir_proto::identity::v1::identity_admin_service_client::IdentityAdminServiceClient;
use weir_proto::policy::v1::policy_service_client::PolicyServiceClient;

/// Largest answer read, in bytes.
const MESSAGE_BYTES: usize = 64 * 1024 * 1024;

/// Shows a bearer token with every call, if there is one.
#[derive(Clone)]
pub(crate) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

type Shown = InterceptedService<Channel, Bearer>;
pub(crate) type Client = PolicyServiceClient<Shown>;
pub(crate) type IdentityClient = IdentityAdminServiceClient<Shown>;

/// A connection, and what to show on it.
pub(crate) struct Connection {
    channel: Channel,
    bearer: Bearer,
}

impl Connection {
    /// The policy API.
    pub(crate) fn policy(&self) -> Client {
        Client::new(self.shown())
            .max_decoding_message_size(MESSAGE_BYTES)
            .max_encoding_message_size(MESSAGE_BYTES)
    }

    fn shown(&self) -> Shown {
        InterceptedService::new(self.channel.clone(), self.bearer.clone())
    }

    /// Tokens and roots.
    pub(crate) fn identity(&self) -> IdentityClient {
        IdentityClient::new(self.shown())
    }
}

/// Connects, with an error that says what to try.
pub(crate) async fn connect(
    server: &str,
    timeout: Duration,
    credentials: &Credentials,
) -> anyhow::Result<Connection> {
    let trust = trust(credentials)?;
    let url = url(server, trust.is_some())?;
    let bearer = bearer(credentials)?;
    if bearer.0.is_some() && !is_safe(&url) {
        bail!(
            "--token-file: the token could be read on its way to {server}; connect with TLS (--trust-pin or --trust-bundle)"
        );
    }
    let endpoint = Endpoint::from_shared(url.clone())
        .with_context(|| format!("--server {server:?} is no address; write ADDR:PORT"))?;
    let endpoint = endpoint.connect_timeout(Duration::from_secs(5)).timeout(timeout).tcp_nodelay(true);
    let channel = match trust.filter(|_| url.starts_with("https://")) {
        None => endpoint.connect().await,
        Some(trust) => {
            let config = configuration(credentials, trust)?;
            let connector = tower::service_fn(move |uri: tonic::codegen::http::Uri| {
                let config = config.clone();
                async move {
                    let (host, port) = (uri.host().unwrap_or_default(), uri.port_u16().unwrap_or_default());
                    weir_runtime::tls::connect(host, port, config).await
                }
            });
            endpoint.connect_with_connector(connector).await
        }
    };
    let channel = channel.map_err(|error| {
        let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), innermost);
        anyhow!("no control plane answers at {server}: {cause}; is it running, and is --server (or WEIR_SERVER) its --policy-listen address?")
    })?;
    Ok(Connection { channel, bearer })
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// An address alone means TLS if somebody is trusted, and otherwise plain text to this machine only.
fn url(server: &str, trusted: bool) -> anyhow::Result<String> {
    match (server.split_once("://"), trusted) {
        (Some(("https", _)), false) => {
            bail!("--server {server}: nobody is trusted yet; add --trust-pin or --trust-bundle")
        }
        (Some(_), _) => Ok(server.to_owned()),
        (None, true) => Ok(format!("https://{server}")),
        (None, false) => {
            if is_local(server) {
                return Ok(format!("http://{server}"));
            }
            bail!(
                "--server {server} is on another machine: say whom to trust (--trust-pin or --trust-bundle), or write \
                 http://{server} to speak plain text in a network that is trusted"
            )
        }
    }
}

fn is_local(authority: &str) -> bool {
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host).trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether nobody else can read what is sent there.
fn is_safe(url: &str) -> bool {
    match url.split_once("://") {
        Some(("https", _)) => true,
        Some((_, authority)) => is_local(authority.trim_end_matches('/')),
        None => false,
    }
}

fn trust(credentials: &Credentials) -> anyhow::Result<Option<Trust>> {
    match (&credentials.trust_bundle, credentials.trust_pin) {
        (Some(path), _) => {
            let text =
                file::read_public(path)?.with_context(|| format!("{} is not there", path.display()))?;
            Ok(Some(Trust::Bundle(Bundle::from_pem(&text, credentials.trust_domain.as_ref())?)))
        }
        (None, Some(pin)) => Ok(Some(Trust::Pin(pin))),
        (None, None) => Ok(None),
    }
}

fn secret(path: &Path) -> anyhow::Result<String> {
    let text = file::read_secret(path)?.with_context(|| format!("{} is not there", path.display()))?;
    Ok(text.to_string())
}

fn bearer(credentials: &Credentials) -> anyhow::Result<Bearer> {
    let Some(path) = &credentials.token_file else { return Ok(Bearer(None)) };
    let value: Result<MetadataValue<Ascii>, _> = format!("Bearer {}", secret(path)?.trim()).parse();
    let mut value = value.ok().with_context(|| format!("{} holds no token", path.display()))?;
    value.set_sensitive(true);
    Ok(Bearer(Some(value)))
}

fn configuration(credentials: &Credentials, trust: Trust) -> anyhow::Result<Arc<ClientConfig>> {
    let identity = match (&credentials.identity, &trust) {
        (Some(path), Trust::Bundle(bundle)) => Some(Identity::from_pem(&secret(path)?, bundle.clone())?),
        _ => None,
    };
    Ok(tls::client(identity.as_ref(), trust, Expected::ControlPlane, &Settings::grpc())?)
}

/// A refusal, in the server's words.
pub(crate) fn told(status: &Status) -> anyhow::Error {
    let message = status.message();
    match status.code() {
        Code::FailedPrecondition | Code::InvalidArgument | Code::NotFound | Code::OutOfRange => {
            anyhow!("{message}")
        }
        Code::Unauthenticated | Code::PermissionDenied => anyhow!("refused: {message}"),
        Code::DeadlineExceeded | Code::Cancelled => {
            anyhow!("the control plane did not answer in time; see --timeout ({message})")
        }
        code => match std::error::Error::source(status) {
            Some(cause) if code == Code::Unavailable || code == Code::Unknown => {
                anyhow!("the connection broke: {}", innermost(cause))
            }
            _ => anyhow!("{message} ({code:?})"),
        },
    }
}

#[cfg(test)]
mod tests;
