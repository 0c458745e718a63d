//! The timeouts of one exchange behind one timer, which exists only if there is a timeout.
//!
//! Request and attempt limits are moments, or begin when the whole request was received; idle limits follow the last byte. The timer is armed for
//! the earliest of them and, since all of these only ever move away, armed anew only when it goes off: a byte that moves costs one store.

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

/// No limit, or no time.
const NEVER: u64 = u64::MAX;

/// The limits of one exchange.
#[derive(Debug)]
pub(crate) struct Timer {
    /// When the request or the whole stream has to be over, whichever is first.
    end: Time,
    /// Whether that is the stream.
    ends_stream: bool,
    /// Whether the request is not whole yet, and limits begin when it is: how long it may take from then on.
    late: bool,
    request: u64,
    /// What goes on.
    phase: Phase,
    /// When the current attempt began, and how long it may take.
    attempt: Time,
    attempt_limit: u64,
    /// How long nothing may move, in the whole and of the attempt.
    idle: u64,
    attempt_idle: u64,
    /// When something moved last; kept only with an idle limit.
    moved: Time,
    /// The request body, whose bytes move too, and how many had moved at the last look.
    upload: Option<(Rc<upload::Source>, u64)>,
    sleep: Option<Pin<Box<Sleep>>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// There is no attempt now.
    Pause,
    /// An attempt waits for the head of its response.
    Attempt,
    /// The response has begun.
    Response,
}

impl Default for Timer {
    fn default() -> Self {
        Timer {
            end: Time(NEVER),
            ends_stream: false,
            late: false,
            request: NEVER,
            phase: Phase::Pause,
            attempt: Time(0),
            attempt_limit: NEVER,
            idle: NEVER,
            attempt_idle: NEVER,
            moved: Time(0),
            upload: None,
            sleep: None,
        }
    }
}

/// When each limit is reached, as things are.
struct Ends {
    request: Time,
    attempt: Time,
    idle: Time,
    attempt_idle: Time,
}

impl Timer {
    /// Starts the limits that hold for the whole exchange. `request` is when it has to be over whatever is still to come of it. If it is
    /// `late`, more of it is to come and the route's own limits begin after that.
    pub(crate) fn start(
        &mut self,
        request: Option<Time>,
        late: bool,
        timeouts: &Timeouts,
        limits: &HttpLimits,
        now: Time,
    ) {
        // Zero is no limit, whatever the listener says.
        let said = |route: Option<Duration>, listener| route.or(listener).filter(|limit| !limit.is_zero());
        let request = request.unwrap_or(Time(NEVER));
        let stream = said(timeouts.stream, limits.stream).map_or(Time(NEVER), |limit| now + limit);
        *self = Timer {
            end: request.min(stream),
            ends_stream: stream < request,
            late,
            request: nanos(timeouts.request.filter(|_| late)),
            attempt_limit: nanos(timeouts.backend_request),
            idle: nanos(said(timeouts.idle, limits.stream_idle)),
            attempt_idle: nanos(timeouts.attempt_idle),
            moved: now,
            ..Timer::default()
        };
        self.arm();
    }

    /// Counts what moves in a request body as movement, if there is an idle limit, and sees when it is whole, if limits begin then.
    pub(crate) fn watch(&mut self, upload: Option<&Rc<upload::Source>>) {
        let wanted = self.late || self.idle != NEVER || self.attempt_idle != NEVER;
        self.upload = upload.filter(|_| wanted).map(|upload| (upload.clone(), upload.bytes()));
        match &self.upload {
            Some((upload, _)) if self.late || self.attempt_idle != NEVER => upload.note_end(),
            Some(_) => {}
            None => self.late = false,
        }
    }

    /// Starts the limits of an attempt that begins now.
    pub(crate) fn attempt(&mut self, begun: Time) {
        self.attempt = begun;
        self.enter(Phase::Attempt);
    }

    /// Lifts the limits of an attempt.
    pub(crate) fn pause(&mut self) {
        self.enter(Phase::Pause);
    }

    /// The head of the response goes downstream. From here on an attempt may only not fall silent.
    pub(crate) fn respond(&mut self, now: Time) {
        self.moved = self.moved.max(now);
        self.enter(Phase::Response);
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        if self.attempt_limit != NEVER || self.attempt_idle != NEVER {
            self.arm();
        }
    }

    /// Something moved.
    pub(crate) fn touch(&mut self) {
        if self.idle != NEVER || self.attempt_idle != NEVER {
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

    /// When the request was whole: now at the earliest if it is not yet. What ends later because of that is looked at again later, so nobody
    /// has to be told when it is.
    fn whole(&self, now: Time) -> Time {
        match &self.upload {
            Some((upload, _)) => upload.whole_since().unwrap_or(now),
            None => now,
        }
    }

    fn ends(&self, now: Time) -> Ends {
        let whole = if self.late { self.whole(now) } else { Time(0) };
        // What comes of an attempt is waited for only when it has the whole request.
        let heard = match &self.upload {
            Some(_) if self.attempt_idle != NEVER => self.whole(now),
            _ => Time(0),
        };
        let of_attempt = |phases: &[Phase], end| if phases.contains(&self.phase) { end } else { Time(NEVER) };
        let silent = self.moved.max(self.attempt).max(heard);
        Ends {
            request: after(whole, self.request),
            attempt: of_attempt(&[Phase::Attempt], after(self.attempt.max(whole), self.attempt_limit)),
            idle: after(self.moved, self.idle),
            attempt_idle: of_attempt(&[Phase::Attempt, Phase::Response], after(silent, self.attempt_idle)),
        }
    }

    fn exceeded(&self, now: Time) -> Option<Kind> {
        let ends = self.ends(now);
        match () {
            () if self.end <= now && self.ends_stream => Some(Kind::DurationTimeout),
            () if self.end.min(ends.request) <= now => Some(Kind::RequestTimeout),
            () if ends.attempt.min(ends.attempt_idle) <= now => Some(Kind::AttemptTimeout),
            () => (ends.idle <= now).then_some(Kind::IdleTimeout),
        }
    }

    fn arm(&mut self) {
        // Without a request that is still to come nothing depends on the time.
        let ends = self.ends(if self.upload.is_some() || self.late { now() } else { Time(0) });
        let next = self.end.min(ends.request).min(ends.attempt).min(ends.idle).min(ends.attempt_idle);
        if next == Time(NEVER) {
            self.sleep = None;
            return;
        }
        let next: Instant = clock::Time(next.0).instant();
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(next),
            None => self.sleep = Some(Box::pin(tokio::time::sleep_until(next))),
        }
    }
}

fn nanos(limit: Option<Duration>) -> u64 {
    limit.map_or(NEVER, |limit| u64::try_from(limit.as_nanos()).unwrap_or(NEVER))
}

fn after(moment: Time, nanos: u64) -> Time {
    Time(moment.0.saturating_add(nanos))
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
