//! Hyper's HTTP/1 and HTTP/2 codecs on a downstream connection (stage 5): limits, orders, and what follows an upgrade.
//!
//! Hyper's own head timeout would set a timer for each request; the worker's tick watches heads instead.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Sleep;
use weir_model::limits;
use weir_runtime::clock::LocalExec;
use weir_runtime::io::{HyperIo, Rewind};
use weir_runtime::net;

use crate::downstream::{Downstream, Order, Watched, lingering};
use crate::exchange::Exchange;
use crate::forward::serve;
use crate::notice::Noticed;
use crate::reject::Kind;
use crate::{respond, tcp};

/// Serves HTTP/1 until the connection ends, and what it is upgraded to.
pub(crate) async fn serve_http1(downstream: Rc<Downstream>, stream: Rewind<TcpStream>) {
    let mut builder = http1::Builder::new();
    let said = downstream.limits();
    builder.half_close(false).max_buf_size(said.head_bytes.map_or(limits::HEAD_BYTES, room));
    if let Some(most) = said.head_fields {
        // Only what differs from the codec's own bound: beyond that it allocates for each head.
        builder.max_headers(most as usize);
    }
    if downstream.manner().is_some_and(|manner| manner.proper_case) {
        builder.title_case_headers(true);
    }
    downstream.limit(&said);
    let io = HyperIo::new(Watched::new(stream, downstream.clone()));
    let service = service_fn({
        let downstream = downstream.clone();
        move |request| serve(downstream.clone(), request)
    });
    let mut connection = builder.serve_connection(io, service);
    let mut told = false;
    let ended = poll_fn(|cx| {
        let order = downstream.ordered(cx);
        let mut polled = close_or(order, Pin::new(&mut connection), cx);
        // After what has arrived was read: a request among it is answered. That peers are to go elsewhere is said in responses.
        if polled.is_pending() && order == Order::Finish && !told {
            told = true;
            Pin::new(&mut connection).graceful_shutdown();
            polled = close_or(order, Pin::new(&mut connection), cx);
        }
        polled
    });
    let ended = ended.await;
    if let Some(Err(error)) = &ended
        && error.is_parse()
        && downstream.is_idle()
    {
        // The codec has answered what it could not read.
        let kind = match error.is_parse_too_large() {
            true => Kind::HeadTooLarge,
            false => Kind::Malformed("it is no HTTP"),
        };
        Exchange::unreadable(&downstream, &kind);
    }
    let upgrade = downstream.upgrade.take();
    if let (Some(Ok(())), Some(upgrade)) = (ended, upgrade) {
        let parts = connection.into_parts();
        tcp::upgraded(parts.io.into_inner().into_inner(), parts.read_buf, upgrade).await;
    } else if downstream.is_aborted() {
        abort(connection.into_parts().io.into_inner().into_inner());
    } else if downstream.is_slow() && downstream.is_idle() {
        Exchange::unreadable(&downstream, &Kind::SlowRequest);
        let mut stream = connection.into_parts().io.into_inner();
        // Otherwise the peer is still owed a response, and would take this for a part of it.
        if !stream.is_stuck() {
            let told = async {
                stream.write_all(respond::SLOW_HEAD).await?;
                stream.shutdown().await
            };
            // It does not read either, or is gone.
            let _ = tokio::time::timeout(limits::LINGER, told).await;
        }
    }
}

/// What the codec reads at most before it has a whole head of so many bytes; it does not work with less.
fn room(head: u32) -> usize {
    const LEAST: usize = 8192;
    (head as usize).max(LEAST)
}

/// Closes a connection so that its peer sees that what came is not all. That it cannot be is a peer that is gone.
fn abort(stream: Rewind<TcpStream>) {
    let (_, stream) = stream.into_parts();
    let _ = net::reset_on_close(&stream);
}

/// Serves HTTP/2 until the connection ends.
pub(crate) async fn serve_http2(downstream: Rc<Downstream>, stream: Rewind<TcpStream>) {
    let mut builder = http2::Builder::new(LocalExec);
    let said = downstream.limits();
    let (stream_window, connection_window) = limits::HTTP2_WINDOWS_MOST;
    let windows = (
        said.stream_window.map_or(limits::HTTP2_STREAM_WINDOW, |window| window.min(stream_window)),
        said.connection_window
            .map_or(limits::HTTP2_CONNECTION_WINDOW, |window| window.min(connection_window)),
    );
    let streams =
        said.streams.map_or(limits::DOWNSTREAM_STREAMS, |most| most.min(limits::DOWNSTREAM_STREAMS_MOST));
    builder
        .initial_stream_window_size(windows.0)
        .initial_connection_window_size(windows.1)
        .max_concurrent_streams(streams)
        .max_send_buf_size(limits::HTTP2_SEND_BUFFER)
        .max_pending_accept_reset_streams(limits::HTTP2_RESET_STREAMS)
        .max_header_list_size(
            said.head_bytes.unwrap_or(u32::try_from(limits::HEAD_BYTES).unwrap_or(u32::MAX)),
        );
    if downstream.manner().is_some_and(|manner| manner.extended_connect) {
        builder.enable_connect_protocol();
    }
    downstream.limit(&said);
    let service = service_fn({
        let downstream = downstream.clone();
        move |request| serve(downstream.clone(), request)
    });
    let wanted = Rc::new(Cell::new(false));
    let io = HyperIo::new(Noticed::new(lingering(stream), wanted.clone()));
    let mut connection = pin!(builder.serve_connection(io, service));
    // Runs from the notice to the last moment at which the peer may begin a request.
    let mut notice = None;
    let mut told = false;
    poll_fn(|cx| {
        let order = downstream.ordered(cx);
        if order >= Order::Tell && notice.is_none() {
            wanted.set(true);
            notice = Some(Box::pin(tokio::time::sleep(limits::LAST_REQUEST)));
        }
        let noticed = |notice: &mut Pin<Box<Sleep>>| notice.as_mut().poll(cx).is_ready();
        if order >= Order::Finish && !told && notice.as_mut().is_some_and(noticed) {
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

#[cfg(test)]
mod tests;
