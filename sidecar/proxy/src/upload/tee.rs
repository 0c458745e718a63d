//! A copy of a request body that goes elsewhere, as it is read.
//!
//! What was read and not yet sent in the copy waits, up to [`limits::MIRROR_BODY_BYTES`] in [`limits::BODY_PIECES`]. A copy that lags further behind is cut: its
//! reader gets an error, and nobody else notices. The original is never read for the copy's sake, nor held up by it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use weir_model::limits;

use crate::body::BodyError;
use crate::pool::driving;

/// The end that is written. Dropped before the end of the body, it cuts the copy.
#[derive(Debug)]
pub(crate) struct Tee(Rc<RefCell<Shared>>);

/// The end that is read.
#[derive(Debug)]
pub(crate) struct Copied {
    shared: Rc<RefCell<Shared>>,
    /// Bytes still to come, if that is known.
    left: Option<u64>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: VecDeque<Frame<Bytes>>,
    bytes: usize,
    state: State,
    reader: Option<Waker>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    Ended,
    /// It lagged behind, or the original broke off.
    Cut,
    /// Nobody reads it.
    Gone,
}

/// Both ends of a copy of a body of this length, if it is known.
pub(crate) fn tee(length: Option<u64>) -> (Tee, Copied) {
    let shared = Rc::new(RefCell::new(Shared::default()));
    (Tee(shared.clone()), Copied { shared, left: length })
}

impl Tee {
    /// Puts a frame of the original into the copy.
    pub(crate) fn offer(&self, frame: &Frame<Bytes>) {
        let mut shared = self.0.borrow_mut();
        if shared.state != State::Open {
            return;
        }
        if let Some(data) = frame.data_ref() {
            shared.bytes += data.len();
            if shared.bytes > limits::MIRROR_BODY_BYTES || shared.waiting.len() >= limits::BODY_PIECES {
                shared.become_state(State::Cut);
                return;
            }
            shared.waiting.push_back(Frame::data(super::apart(data)));
        } else if let Some(trailers) = frame.trailers_ref() {
            shared.waiting.push_back(Frame::trailers(trailers.clone()));
        }
        shared.wake();
    }

    /// The original is through.
    pub(crate) fn end(&self) {
        let mut shared = self.0.borrow_mut();
        if shared.state == State::Open {
            shared.become_state(State::Ended);
        }
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        let mut shared = self.0.borrow_mut();
        if shared.state == State::Open {
            shared.become_state(State::Cut);
        }
    }
}

impl Shared {
    fn become_state(&mut self, state: State) {
        self.state = state;
        if state == State::Cut {
            self.waiting = VecDeque::new();
        }
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl Copied {
    /// The next frame.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut shared = self.shared.borrow_mut();
        if let Some(frame) = shared.waiting.pop_front() {
            let length = frame.data_ref().map_or(0, Bytes::len);
            shared.bytes -= length;
            self.left = self.left.map(|left| left.saturating_sub(length as u64));
            return Poll::Ready(Some(Ok(frame)));
        }
        match shared.state {
            State::Ended => Poll::Ready(None),
            State::Cut | State::Gone => Poll::Ready(Some(Err(BodyError::timeout()))),
            State::Open => {
                // The connection it goes out on may be driven by a task of its own kind.
                driving::outside(cx, |cx| shared.reader = Some(cx.waker().clone()));
                Poll::Pending
            }
        }
    }

    /// A look at how it ends, for whoever gave the copy away.
    pub(crate) fn watch(&self) -> Watch {
        Watch(self.shared.clone())
    }

    /// Whether the last frame was given out.
    pub(crate) fn is_end(&self) -> bool {
        let shared = self.shared.borrow();
        shared.state == State::Ended && shared.waiting.is_empty()
    }

    /// How much is left.
    pub(crate) fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        // Nothing is kept for a reader that is gone; what happened before stays as it is.
        let mut shared = self.shared.borrow_mut();
        shared.waiting = VecDeque::new();
        if shared.state == State::Open {
            shared.state = State::Gone;
        }
    }
}

/// Tells how a copy ended after it was given away.
#[derive(Debug)]
pub(crate) struct Watch(Rc<RefCell<Shared>>);

impl Watch {
    /// Whether the copy is not whole.
    pub(crate) fn is_cut(&self) -> bool {
        self.0.borrow().state == State::Cut
    }
}

#[cfg(test)]
mod tests;
