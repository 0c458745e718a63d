//! The outbound listener for TLS: the server name that a client asks for names the service, and the control plane is asked for it as for an
//! authority. Nothing of the TLS is taken part in.

use std::rc::Rc;
use std::sync::Arc;

use tokio::net::TcpStream;
use weir_config::{NameLookup, Tcp};
use weir_model::{Inspect, limits};
use weir_runtime::io::Rewind;

use crate::detect::{Said, inspect};
use crate::downstream::Downstream;
use crate::reject::Kind;
use crate::timer::now;
use crate::worker::Worker;
use crate::{listener, route, tcp};

/// What such a listener looks at.
const HELLO: Inspect = Inspect { tls: true, http: false, wait: limits::HEAD_TIMEOUT, go_on: false };

/// Serves one connection to its end; `port` is that of the services.
pub(crate) async fn serve(downstream: Rc<Downstream>, stream: TcpStream, port: u16) {
    let looked = tokio::select! {
        biased;
        looked = inspect(stream, HELLO) => looked,
        () = listener::finished(&downstream) => return,
    };
    let Some((said, stream)) = looked else { return };
    // Boxed, since few connections come to this, and all would have to be as large.
    Box::pin(carry(&downstream, stream, &said, port)).await;
}

async fn carry(downstream: &Rc<Downstream>, stream: Rewind<TcpStream>, said: &Said, port: u16) {
    let found = match said.server_name() {
        "" => Err(Kind::NoRoute),
        name => resolve(&downstream.worker, &format!("{name}:{port}")).await,
    };
    match found {
        Ok(bytes) => tcp::serve(downstream, stream, bytes, said.server_name()).await,
        Err(kind) => tcp::refuse(downstream, kind),
    }
}

/// Where a name leads; waits for the control plane if it is new.
async fn resolve(worker: &Rc<Worker>, name: &str) -> Result<Arc<Tcp>, Kind> {
    let look_up = || match worker.pinned().snapshot.name(name, now()) {
        NameLookup::Bytes(bytes) => Some(Ok(bytes.clone())),
        // HTTP is not wrapped in TLS here.
        NameLookup::Found(_) | NameLookup::Absent => Some(Err(Kind::NoSuchName)),
        NameLookup::Unknown => None,
    };
    match look_up() {
        Some(found) => found,
        None => route::on_demand(worker, name, look_up).await,
    }
}
