//! Connections to control planes, and what went wrong with them in words.

use std::sync::Arc;
use std::time::Duration;

use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status as GrpcStatus};
use weir_identity::tls::ClientConfig;

/// How long a TCP connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection on which nothing arrives for this long is asked whether it lives …
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// … and given up if no answer comes within this.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Connects, with TLS if there is a configuration for it.
pub(crate) async fn connect(uri: &str, tls: Option<Arc<ClientConfig>>) -> Result<Channel, String> {
    let endpoint =
        Endpoint::from_shared(uri.to_owned()).map_err(|error| format!("is no address: {error}"))?;
    let endpoint = endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true);
    let connected = match tls {
        None => endpoint.connect().await,
        Some(config) => {
            let connector = tower::service_fn(move |uri: Uri| {
                let config = config.clone();
                async move {
                    let (host, port) = (uri.host().unwrap_or_default(), uri.port_u16().unwrap_or_default());
                    weir_runtime::tls::connect(host, port, config).await
                }
            });
            endpoint.connect_with_connector(connector).await
        }
    };
    connected.map_err(|error| format!("it cannot be reached: {}", innermost(&error)))
}

/// A status in words: its message if it has one, and the cause below it if there is one.
pub(crate) fn describe(status: &GrpcStatus) -> String {
    let cause = std::error::Error::source(status).map(innermost);
    match (status.code(), status.message(), cause) {
        (code, "", None) => format!("{code:?}"),
        (Code::Unknown | Code::Unavailable, _, Some(cause)) => cause,
        (code, message, _) => format!("{message} ({code:?})"),
    }
}

/// The innermost cause says what happened; the layers above only say where.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
