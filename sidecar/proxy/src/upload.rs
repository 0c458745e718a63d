//! A request body on its way up, kept for another attempt as far as that may be needed.
//!
//! The body is read once, by whichever attempt is the current one. If a retry may need it, what was read is also kept, up to
//! [`limits::RETRY_BODY_BYTES`]; beyond that it is let go and the request can no longer be repeated. Nothing is read ahead. The pieces are
//! counted too ([`limits::BODY_PIECES`]), so that a body that comes in tiny ones takes no more memory than others.

pub(crate) mod tee;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use weir_decide::hop;
use weir_model::{Time, limits};

use crate::body::BodyError;
use crate::pool::driving;
use crate::timer::now;
use tee::{Copied, Tee};

/// The downstream's body, shared by the attempts of one request.
#[derive(Debug)]
pub(crate) struct Source {
    incoming: RefCell<Incoming>,
    kept: RefCell<Kept>,
    /// Bytes read from the downstream.
    bytes: Cell<u64>,
    /// How many there may be.
    limit: Cell<u64>,
    /// When the last of it was read, if anybody wants to know.
    whole: Cell<Whole>,
    /// Whether it broke off.
    broken: Cell<bool>,
    /// Attempts that still read.
    readers: Cell<u32>,
    /// Copies of what is read.
    copies: RefCell<Vec<Tee>>,
}

/// Whether the request is whole.
#[derive(Clone, Copy, Debug)]
enum Whole {
    /// Nobody wants to know.
    Unasked,
    /// Not yet.
    NotYet,
    /// Since then.
    Since(Time),
}

/// What was read so far.
#[derive(Debug)]
enum Kept {
    /// Everything.
    All { data: Vec<Bytes>, bytes: usize, trailers: Option<HeaderMap> },
    /// Nothing: no retry needs it, or it is too much.
    Nothing,
}

impl Source {
    pub(crate) fn new(incoming: Incoming, keep: bool) -> Rc<Source> {
        let kept =
            if keep { Kept::All { data: Vec::new(), bytes: 0, trailers: None } } else { Kept::Nothing };
        Rc::new(Source {
            incoming: RefCell::new(incoming),
            kept: RefCell::new(kept),
            bytes: Cell::new(0),
            limit: Cell::new(u64::MAX),
            whole: Cell::new(Whole::Unasked),
            broken: Cell::new(false),
            readers: Cell::new(0),
            copies: RefCell::default(),
        })
    }

    /// The body from its beginning, for one attempt. The attempt before must be over.
    pub(crate) fn read(self: &Rc<Source>) -> Upload {
        self.readers.set(self.readers.get() + 1);
        Upload { source: self.clone(), next: 0 }
    }

    /// A copy of the whole body, which follows as it is read. Nothing may have been read yet.
    pub(crate) fn tee(&self) -> Copied {
        let (tee, copied) = tee::tee(self.incoming.borrow().size_hint().exact());
        self.copies.borrow_mut().push(tee);
        copied
    }

    /// Breaks it off where it turns out to have more bytes than this.
    pub(crate) fn limit(&self, bytes: u64) {
        self.limit.set(bytes);
    }

    /// Whether that has happened.
    pub(crate) fn is_too_large(&self) -> bool {
        self.bytes.get() > self.limit.get()
    }

    /// Has the time noted at which the last of it is read.
    pub(crate) fn note_end(&self) {
        self.whole.set(if self.is_end() { Whole::Since(now()) } else { Whole::NotYet });
    }

    /// When the last of it was read, where that is noted; `None` if there is more.
    pub(crate) fn whole_since(&self) -> Option<Time> {
        match self.whole.get() {
            Whole::Since(time) => Some(time),
            Whole::Unasked | Whole::NotYet => None,
        }
    }

    fn ended(&self) {
        if matches!(self.whole.get(), Whole::NotYet) {
            self.whole.set(Whole::Since(now()));
        }
    }

    /// Whether [`Source::read`] would give the whole body again.
    pub(crate) fn repeatable(&self) -> bool {
        !self.broken.get() && (self.bytes.get() == 0 || matches!(*self.kept.borrow(), Kept::All { .. }))
    }

    /// No further attempt will be made: lets go of what was kept.
    pub(crate) fn settle(&self) {
        self.kept.replace(Kept::Nothing);
    }

    /// Whether everything was read.
    pub(crate) fn is_end(&self) -> bool {
        self.incoming.borrow().is_end_stream()
    }

    /// Reads and drops what nobody wants any more. An HTTP/1 caller that is still sending would otherwise find its connection
    /// reset, and might never read its response.
    pub(crate) fn discard(self: Rc<Source>) {
        if self.broken() || self.is_end() {
            return;
        }
        self.settle();
        tokio::task::spawn_local(async move {
            let discarding = async {
                // A task that was given up leaves when it would have run next. One that goes on reads the body itself.
                tokio::task::yield_now().await;
                if self.unfinished() {
                    return;
                }
                let (mut rest, before) = (self.read(), self.bytes());
                while self.bytes() - before < limits::DISCARD_BYTES {
                    match poll_fn(|cx| rest.poll(cx)).await {
                        Some(Ok(_)) => {}
                        Some(Err(_)) | None => return,
                    }
                }
            };
            // If it takes too long or is too much, the connection closes.
            let _ = tokio::time::timeout(limits::DISCARD_TIME, discarding).await;
        });
    }

    /// How long the whole body is, if that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        let rest = self.incoming.borrow().size_hint().exact()?;
        Some(rest + self.bytes())
    }

    /// Whether the downstream broke off.
    pub(crate) fn broken(&self) -> bool {
        self.broken.get()
    }

    /// Whether an attempt still has some of it to read.
    pub(crate) fn unfinished(&self) -> bool {
        self.readers.get() > 0
    }

    /// Bytes read from the downstream.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    fn copy(&self, frame: &Frame<Bytes>, last: bool) {
        for copy in &*self.copies.borrow() {
            copy.offer(frame);
            if last {
                copy.end();
            }
        }
    }

    fn keep(&self, frame: &Frame<Bytes>) {
        let mut kept = self.kept.borrow_mut();
        let Kept::All { data, bytes, trailers } = &mut *kept else { return };
        if let Some(chunk) = frame.data_ref() {
            *bytes += chunk.len();
            if *bytes > limits::RETRY_BODY_BYTES || data.len() >= limits::BODY_PIECES {
                *kept = Kept::Nothing;
            } else {
                data.push(apart(chunk));
            }
        } else if let Some(fields) = frame.trailers_ref() {
            *trailers = Some(fields.clone());
        }
    }
}

/// Pieces smaller than this are copied where they are kept.
const SMALL: usize = 1024;

/// A piece to keep. A small one must not hold on to the whole buffer that it was read into.
fn apart(chunk: &Bytes) -> Bytes {
    if chunk.len() < SMALL { Bytes::copy_from_slice(chunk) } else { chunk.clone() }
}

/// One attempt's view of the body.
#[derive(Debug)]
pub(crate) struct Upload {
    source: Rc<Source>,
    /// How many of the kept chunks (and then the trailers) this attempt has had.
    next: usize,
}

impl Upload {
    /// The next frame.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Kept::All { data, trailers, .. } = &*self.source.kept.borrow() {
            if let Some(chunk) = data.get(self.next) {
                self.next += 1;
                return Poll::Ready(Some(Ok(Frame::data(chunk.clone()))));
            }
            if let Some(fields) = trailers {
                self.next += 1;
                let given = self.next > data.len() + 1;
                return Poll::Ready((!given).then(|| Ok(Frame::trailers(fields.clone()))));
            }
        }
        let incoming = &mut *self.source.incoming.borrow_mut();
        let frame = ready!(driving::outside(cx, |cx| Pin::new(&mut *incoming).poll_frame(cx)));
        let mut frame = frame.map(|frame| frame.map_err(BodyError::Hyper));
        match &mut frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_mut() {
                    hop::trailers(trailers);
                }
                let length = frame.data_ref().map_or(0, Bytes::len);
                self.source.bytes.set(self.source.bytes.get() + length as u64);
                if self.source.is_too_large() {
                    self.source.broken.set(true);
                    self.source.copies.take();
                    return Poll::Ready(Some(Err(BodyError::TooLarge)));
                }
                self.source.keep(frame);
                self.next += 1;
                self.source.copy(frame, incoming.is_end_stream());
                if incoming.is_end_stream() {
                    self.source.ended();
                }
            }
            Some(Err(_)) => {
                self.source.broken.set(true);
                self.source.copies.take();
            }
            None => {
                self.source.ended();
                self.source.copies.take().iter().for_each(Tee::end);
            }
        }
        Poll::Ready(frame)
    }

    /// Whether the last frame was given out.
    pub(crate) fn is_end(&self) -> bool {
        let replaying = match &*self.source.kept.borrow() {
            Kept::All { data, trailers, .. } => self.next < data.len() + usize::from(trailers.is_some()),
            Kept::Nothing => false,
        };
        !replaying && self.source.incoming.borrow().is_end_stream()
    }

    /// How much is left.
    pub(crate) fn size_hint(&self) -> SizeHint {
        let kept: usize = match &*self.source.kept.borrow() {
            Kept::All { data, .. } => data.iter().skip(self.next).map(Bytes::len).sum(),
            Kept::Nothing => 0,
        };
        let rest = self.source.incoming.borrow().size_hint();
        match rest.exact() {
            Some(exact) => SizeHint::with_exact(exact + kept as u64),
            None => SizeHint::default(),
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.source.readers.set(self.source.readers.get() - 1);
    }
}
