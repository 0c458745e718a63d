//! The connection to the policy API.

use anyhow::{Context, anyhow};
use std::time::Duration;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use weir_proto::policy::v1::policy_service_client::PolicyServiceClient;

/// Largest answer read, in bytes.
const MESSAGE_BYTES: usize = 64 * 1024 * 1024;

pub(crate) type Client = PolicyServiceClient<Channel>;

/// Connects, with an error that says what to try.
pub(crate) async fn connect(server: &str, timeout: Duration) -> anyhow::Result<Client> {
    let url = if server.contains("://") { server.to_owned() } else { format!("http://{server}") };
    if url.starts_with("https://") {
        return Err(anyhow!(
            "--server {server}: TLS to the policy API is not supported yet; write ADDR:PORT"
        ));
    }
    let endpoint = Endpoint::from_shared(url)
        .with_context(|| format!("--server {server:?} is no address; write ADDR:PORT"))?;
    let channel =
        endpoint.connect_timeout(Duration::from_secs(5)).timeout(timeout).tcp_nodelay(true).connect().await;
    let channel = channel.map_err(|error| {
        let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        anyhow!("no control plane answers at {server}: {cause}; is it running, and is --server (or WEIR_SERVER) its --policy-listen address?")
    })?;
    Ok(Client::new(channel).max_decoding_message_size(MESSAGE_BYTES).max_encoding_message_size(MESSAGE_BYTES))
}

/// A refusal, in the server's words.
pub(crate) fn told(status: &Status) -> anyhow::Error {
    let message = status.message();
    match status.code() {
        Code::FailedPrecondition | Code::InvalidArgument | Code::NotFound | Code::OutOfRange => {
            anyhow!("{message}")
        }
        Code::DeadlineExceeded | Code::Cancelled => {
            anyhow!("the control plane did not answer in time; see --timeout ({message})")
        }
        code => anyhow!("{message} ({code:?})"),
    }
}
