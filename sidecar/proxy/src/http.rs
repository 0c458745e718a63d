//! Hyper's HTTP/1 and HTTP/2 codecs on a downstream connection (stage 5): limits, orders, and what follows an upgrade.
//!
//! Hyper's own head timeout would set a timer for each request; the worker's tick watches heads instead.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use tokio::net::TcpStream;
use weir_model::limits;
use weir_runtime::clock::LocalExec;
use weir_runtime::io::{HyperIo, Rewind};

use crate::downstream::{Downstream, Order, Watched};
use crate::forward::serve;
use crate::tcp;

/// Serves HTTP/1 until the connection ends, and what it is upgraded to.
pub(crate) async fn serve_http1(downstream: Rc<Downstream>, stream: Rewind<TcpStream>) {
    let mut builder = http1::Builder::new();
    builder.half_close(false).max_buf_size(limits::HEAD_BYTES);
    let io = HyperIo::new(Watched::new(stream, downstream.clone()));
    let service = service_fn({
        let downstream = downstream.clone();
        move |request| serve(downstream.clone(), request)
    });
    let mut connection = builder.serve_connection(io, service);
    let mut told = false;
    let ended = poll_fn(|cx| {
        let order = downstream.ordered(cx);
        if order == Order::Finish && !told {
            told = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        close_or(order, Pin::new(&mut connection), cx)
    });
    let ended = ended.await;
    let upgrade = downstream.upgrade.take();
    if let (Some(Ok(())), Some(upgrade)) = (ended, upgrade) {
        let parts = connection.into_parts();
        tcp::upgraded(parts.io.into_inner().into_inner(), parts.read_buf, upgrade).await;
    }
}

/// Serves HTTP/2 until the connection ends.
pub(crate) async fn serve_http2(downstream: Rc<Downstream>, stream: Rewind<TcpStream>) {
    let mut builder = http2::Builder::new(LocalExec);
    builder
        .initial_stream_window_size(limits::HTTP2_STREAM_WINDOW)
        .initial_connection_window_size(limits::HTTP2_CONNECTION_WINDOW)
        .max_concurrent_streams(limits::DOWNSTREAM_STREAMS)
        .max_send_buf_size(limits::HTTP2_SEND_BUFFER)
        .max_pending_accept_reset_streams(limits::HTTP2_RESET_STREAMS)
        .max_header_list_size(u32::try_from(limits::HEAD_BYTES).unwrap_or(u32::MAX));
    let service = service_fn({
        let downstream = downstream.clone();
        move |request| serve(downstream.clone(), request)
    });
    let mut connection = pin!(builder.serve_connection(HyperIo::new(stream), service));
    let mut told = false;
    poll_fn(|cx| {
        let order = downstream.ordered(cx);
        if order == Order::Finish && !told {
            told = true;
            connection.as_mut().graceful_shutdown();
        }
        close_or(order, connection.as_mut(), cx)
    })
    .await;
}

/// Drives a connection unless it is to close; `None` if it is.
fn close_or<F: Future>(
    order: Order,
    connection: Pin<&mut F>,
    cx: &mut Context<'_>,
) -> Poll<Option<F::Output>> {
    if order == Order::Close { Poll::Ready(None) } else { connection.poll(cx).map(Some) }
}
