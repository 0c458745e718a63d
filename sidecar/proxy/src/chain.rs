//! Connections of a listener with several filter chains: looked at as far as the listener wants, and served on the one they take (stage 3).

use std::rc::Rc;
use std::sync::Arc;

use tokio::net::TcpStream;
use weir_config::{Chains, ListenerKind};
use weir_decide::chain::Facts;
use weir_decide::detect::Protocol;
use weir_model::limits;
use weir_runtime::io::Rewind;

use crate::detect::{Said, inspect, which_http};
use crate::downstream::Downstream;
use crate::reject::Kind;
use crate::{http, listener, tcp};

/// Serves one connection to its end.
pub(crate) async fn serve(downstream: Rc<Downstream>, stream: TcpStream, chains: Arc<Chains>) {
    let looked = async {
        match chains.inspect {
            Some(wanted) => inspect(stream, wanted).await,
            None => Some((Said::default(), Rewind::new(stream))),
        }
    };
    let looked = tokio::select! {
        biased;
        looked = looked => looked,
        () = listener::finished(&downstream) => return,
    };
    // A peer that is gone, or said too little in its time, gets no answer.
    let Some((said, stream)) = looked else { return };
    let Some(destination) = downstream.local.get() else { return };
    let facts = Facts {
        destination,
        source: downstream.peer,
        server_name: said.server_name(),
        transport: said.transport(),
        protocols: &said.protocols,
    };
    let bytes = match chains.find(&facts) {
        None => return tcp::refuse(&downstream, Kind::NoRoute),
        Some((id, kind)) => {
            downstream.chain.set(Some(id));
            match kind {
                ListenerKind::Tcp(bytes) => Some(bytes.clone()),
                ListenerKind::Http { .. } | ListenerKind::Chains(_) => None,
            }
        }
    };
    drop(chains);
    match bytes {
        Some(bytes) => tcp::serve(&downstream, stream, bytes, said.server_name()).await,
        None => speak_http(downstream, stream).await,
    }
}

/// Serves HTTP on a connection some of whose bytes may have been looked at.
async fn speak_http(downstream: Rc<Downstream>, stream: Rewind<TcpStream>) {
    let detected = tokio::select! {
        biased;
        detected = tokio::time::timeout(limits::HEAD_TIMEOUT, which_http(stream)) => detected,
        () = listener::finished(&downstream) => return,
    };
    let Ok(Ok(Some((protocol, stream)))) = detected else { return };
    let stream = stream.flatten();
    match protocol {
        Protocol::Http2 => http::serve_http2(downstream, stream).await,
        Protocol::Http1 | Protocol::Tls | Protocol::Opaque => http::serve_http1(downstream, stream).await,
    }
}
