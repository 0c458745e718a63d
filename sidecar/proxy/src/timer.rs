//! The timeouts of one exchange behind one timer, which exists only if there is a timeout.
//!
//! Request and attempt limits are moments; the idle limit follows the last byte. The timer is armed for the earliest of them
//! and, since idle moments only ever move away, armed anew only when it goes off: a byte that moves costs one store.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};
use weir_model::{HttpLimits, Time, Timeouts};
use weir_runtime::clock;

use crate::reject::Kind;
use crate::upload;

/// The limits of one exchange.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    /// When the request or the whole stream has to be over, whichever is first.
    end: Option<Time>,
    /// Whether that is the stream.
    ends_stream: bool,
    /// When the current attempt has to be over.
    attempt: Option<Time>,
    /// How long nothing may move.
    idle: Option<Duration>,
    /// Whether only the current attempt is over then.
    idles_attempt: bool,
    /// Whether there is no attempt now.
    pausing: bool,
    /// When something moved last; kept only with an idle limit.
    moved: Time,
    /// The request body, whose bytes move too, and how many had moved at the last look.
    upload: Option<(Rc<upload::Source>, u64)>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    /// Starts the limits that hold for the whole exchange.
    pub(crate) fn start(
        &mut self,
        request: Option<Time>,
        timeouts: &Timeouts,
        limits: &HttpLimits,
        now: Time,
    ) {
        // Zero is no limit, whatever the listener says.
        let said = |route: Option<Duration>, listener| route.or(listener).filter(|limit| !limit.is_zero());
        let stream = said(timeouts.stream, limits.stream);
        let (end, ends_stream) = sooner(request, stream.map(|limit| now + limit));
        let (idle, idles_attempt) = sooner(said(timeouts.idle, limits.stream_idle), timeouts.attempt_idle);
        *self = Timer {
            end,
            ends_stream,
            attempt: None,
            idle,
            idles_attempt,
            pausing: false,
            moved: now,
            upload: None,
            sleep: None,
        };
        self.arm();
    }

    /// Counts what moves in a request body as movement, if there is an idle limit.
    pub(crate) fn watch(&mut self, upload: Option<&Rc<upload::Source>>) {
        self.upload = upload.filter(|_| self.idle.is_some()).map(|upload| (upload.clone(), upload.bytes()));
    }

    /// Starts the limits of an attempt that begins now.
    pub(crate) fn attempt(&mut self, until: Option<Time>) {
        if self.idles_attempt {
            self.moved = now();
        }
        self.change(until, false);
    }

    /// Lifts the limits of an attempt.
    pub(crate) fn pause(&mut self) {
        self.change(None, true);
    }

    fn change(&mut self, until: Option<Time>, pausing: bool) {
        let before = self.idle_end();
        self.pausing = pausing;
        if self.attempt != until || before != self.idle_end() {
            self.attempt = until;
            self.arm();
        }
    }

    /// Something moved.
    pub(crate) fn touch(&mut self) {
        if self.idle.is_some() {
            self.moved = now();
        }
    }

    /// Ready with the limit that was exceeded. Costs nothing without limits.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Kind> {
        loop {
            let Some(sleep) = &mut self.sleep else { return Poll::Pending };
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = now();
            if let Some((upload, seen)) = &mut self.upload
                && *seen != upload.bytes()
            {
                // When exactly is not known; it was after the last look.
                *seen = upload.bytes();
                self.moved = now;
            }
            if let Some(kind) = self.exceeded(now) {
                return Poll::Ready(kind);
            }
            self.arm();
        }
    }

    /// When it has been silent for too long, as things are.
    fn idle_end(&self) -> Option<Time> {
        let idle = self.idle.filter(|_| !(self.pausing && self.idles_attempt))?;
        Some(self.moved + idle)
    }

    fn exceeded(&self, now: Time) -> Option<Kind> {
        let passed = |moment: Option<Time>| moment.is_some_and(|moment| moment <= now);
        let idle = || passed(self.idle_end());
        match () {
            () if passed(self.end) && self.ends_stream => Some(Kind::DurationTimeout),
            () if passed(self.end) => Some(Kind::RequestTimeout),
            () if passed(self.attempt) => Some(Kind::AttemptTimeout),
            () if !idle() => None,
            () if self.idles_attempt => Some(Kind::AttemptTimeout),
            () => Some(Kind::IdleTimeout),
        }
    }

    fn arm(&mut self) {
        let Some(next) = [self.end, self.attempt, self.idle_end()].into_iter().flatten().min() else {
            self.sleep = None;
            return;
        };
        let next: Instant = clock::Time(next.0).instant();
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(next),
            None => self.sleep = Some(Box::pin(tokio::time::sleep_until(next))),
        }
    }
}

/// The sooner of two limits, and whether it is the second.
fn sooner<T: Ord + Copy>(first: Option<T>, second: Option<T>) -> (Option<T>, bool) {
    match (first, second) {
        (Some(one), Some(other)) if other < one => (second, true),
        (None, Some(_)) => (second, true),
        (Some(_) | None, _) => (first, false),
    }
}

/// Runs a future within the limits of a timer. Without limits it costs nothing.
pub(crate) async fn within<F: Future>(timer: &mut Timer, mut future: Pin<&mut F>) -> Result<F::Output, Kind> {
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Ok(output)),
        Poll::Pending => timer.poll(cx).map(Err),
    })
    .await
}

/// The monotonic clock as the model has it.
pub(crate) fn now() -> Time {
    Time(clock::now().nanos())
}

#[cfg(test)]
mod tests;
