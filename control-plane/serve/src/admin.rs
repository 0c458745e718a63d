//! The control plane's own page for probes and scrapers: `/ready`, `/live`, `/metrics`. Loopback unless the operator says otherwise.

use crate::plane::Plane;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::service::service_fn;
use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

#[cfg(test)]
mod tests;

/// Connections served at once; further ones wait.
const CONNECTIONS: usize = 64;
/// How long a caller may take to send its request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves until the future is dropped.
pub async fn serve(plane: Arc<Plane>, listener: TcpListener) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("the admin listener cannot accept: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let plane = Arc::clone(&plane);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let response = answer(&plane, &request);
                async move { Ok::<_, Infallible>(response) }
            });
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(weir_runtime::clock::HyperTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .max_buf_size(16 * 1024);
            // A caller that goes away in the middle is none of our business.
            let _gone = http.serve_connection(weir_runtime::io::HyperIo::new(stream), service).await;
            drop(permit);
        });
    }
}

fn answer<B>(plane: &Plane, request: &Request<B>) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here\n".to_owned());
    }
    match request.uri().path() {
        "/live" => text(StatusCode::OK, "live\n".to_owned()),
        // A control plane serves from its first world on, and has one before it listens.
        "/ready" => text(StatusCode::OK, format!("ready at revision {}\n", plane.world().revision)),
        "/metrics" => text(StatusCode::OK, metrics(plane)),
        "/" => text(StatusCode::OK, "weir-control-plane\n\n/ready\n/live\n/metrics\n".to_owned()),
        _ => text(StatusCode::NOT_FOUND, "nothing here; try /ready, /live or /metrics\n".to_owned()),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let plain = http::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, plain);
    response
}

fn metrics(plane: &Plane) -> String {
    let mut out = String::new();
    let mut gauge = |name: &str, help: &str, value: f64| {
        // Writing to a String cannot fail.
        let _infallible = write!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
    };
    let world = plane.world();
    gauge("weir_revision", "The newest revision of the policy.", plane.store.state().revision.0 as f64);
    gauge("weir_served_revision", "The revision that is compiled for sidecars.", world.revision.0 as f64);
    gauge("weir_sidecars_connected", "Sidecars with an open stream.", plane.registry.connected() as f64);
    gauge(
        "weir_sidecars_behind",
        "Connected sidecars which have not acknowledged the newest configuration.",
        plane.registry.behind() as f64,
    );
    gauge("weir_workloads_joined", "Workloads known through their sidecar's stream.", plane.joined() as f64);
    gauge("weir_services", "Services in the mesh.", world.mesh.services.len() as f64);
    gauge("weir_workloads", "Workloads in the mesh.", world.mesh.workloads.len() as f64);
    let name = "weir_refused_total";
    let _infallible = writeln!(
        out,
        "# HELP {name} Connections and calls refused, by door and reason.\n# TYPE {name} counter"
    );
    for (door, reason, count) in plane.refusals.all() {
        let _infallible = writeln!(out, "{name}{{door=\"{door}\",reason=\"{reason}\"}} {count}");
    }
    let summary = plane.propagation.lock().summary();
    let seconds = [("0.5", summary.p50), ("0.99", summary.p99), ("1", summary.max)];
    let name = "weir_propagation_seconds";
    let _infallible = writeln!(
        out,
        "# HELP {name} From a durable change to a sidecar's acknowledgement, over the latest pairs.\n# TYPE {name} gauge"
    );
    for (quantile, value) in seconds {
        let _infallible = writeln!(out, "{name}{{quantile=\"{quantile}\"}} {}", value.as_secs_f64());
    }
    out
}
