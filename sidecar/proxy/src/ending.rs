//! Streams for which time is up: a gRPC caller whose stream outlasts the drain is told so by a status, not by a connection
//! that breaks.
//!
//! Only a gRPC response can still say something once it has begun: its status comes last. All others are cut off with their
//! connections. A stream puts its waker on its worker's list when it waits for the upstream, and only then.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::task::Waker;

use http::{HeaderMap, HeaderValue};

use crate::respond::{GRPC_MESSAGE, GRPC_STATUS};

/// gRPC's UNAVAILABLE: the caller may try again, elsewhere.
pub(crate) const UNAVAILABLE: u8 = 14;

/// One worker's gRPC streams that wait for their upstreams. Bounded by its requests.
#[derive(Default)]
pub(crate) struct Streams {
    waiting: RefCell<HashMap<u64, Waker>>,
    next: Cell<u64>,
}

/// A stream's place on the list.
pub(crate) struct Place {
    streams: Rc<Streams>,
    key: u64,
}

impl Streams {
    /// Puts a stream on the list, or a place's waker up to date.
    pub(crate) fn wait(self: &Rc<Self>, place: &mut Option<Place>, waker: &Waker) {
        let place = place.get_or_insert_with(|| {
            let key = self.next.get();
            self.next.set(key + 1);
            Place { streams: self.clone(), key }
        });
        let mut waiting = self.waiting.borrow_mut();
        match waiting.get_mut(&place.key) {
            // Nothing happens if it is the same task as before.
            Some(known) => known.clone_from(waker),
            None => drop(waiting.insert(place.key, waker.clone())),
        }
    }

    /// Wakes all of them, to find that they end.
    pub(crate) fn end(&self) {
        let waiting = self.waiting.take();
        waiting.into_values().for_each(Waker::wake);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.streams.waiting.borrow_mut().remove(&self.key);
    }
}

/// What a gRPC caller is told at the end of its stream.
pub(crate) fn trailers() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    trailers.insert(GRPC_STATUS, HeaderValue::from(u16::from(UNAVAILABLE)));
    trailers.insert(GRPC_MESSAGE, HeaderValue::from_static("the sidecar is ending"));
    trailers
}
