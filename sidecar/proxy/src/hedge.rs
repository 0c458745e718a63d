//! Hedging: an attempt that takes longer than its route allows goes on beside the next one, and the first good answer wins.
//!
//! Only for requests that may be sent twice: their method is idempotent and they have no body. Each further attempt counts against the
//! cluster's retry budget like a retry, and is marked as one. Attempts that lose are dropped, which closes an HTTP/1 connection and resets an
//! HTTP/2 stream. A bad answer of an attempt that was overtaken is dropped too: another one is under way already. **At most
//! [`weir_model::limits::RETRIES`] attempts run beside the newest**, since each took a retry of the policy's.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Response;
use weir_config::Forward;
use weir_decide::retry::{Retry, idempotent};
use weir_model::Time;

use crate::exchange::{Exchange, Source};
use crate::pinned::WorkerCluster;
use crate::pool::{Active, EndpointPool};
use crate::reject::Kind;
use crate::timer::Timer;
use crate::upstream::{self, Answered, Outgoing};

type Answer<'a> = Pin<Box<dyn Future<Output = Result<Answered, Kind>> + 'a>>;

/// The attempts of one request that were overtaken and go on.
pub(crate) struct Hedges<'a> {
    retry: &'a Retry,
    cluster: &'a WorkerCluster,
    overtaken: Vec<Running<'a>>,
}

/// One attempt.
struct Running<'a> {
    answer: Answer<'a>,
    pool: Rc<EndpointPool>,
    begun: Time,
    /// Counts it at its endpoint once the exchange does so no more.
    active: Option<Active>,
}

/// What happened first.
enum Event {
    /// An attempt that was overtaken has a good answer.
    Overtaken(usize, Answered),
    /// The newest attempt has an answer, or has failed.
    Newest(Result<Answered, Kind>),
    /// The pause is over, or nothing is left to wait for.
    Over,
    /// A limit was exceeded.
    Limit(Kind),
}

impl<'a> Hedges<'a> {
    /// For a request that is hedged; `None` for all others.
    pub(crate) fn of(
        forward: &'a Forward,
        cluster: &'a WorkerCluster,
        exchange: &Exchange,
        outgoing: &Outgoing,
    ) -> Option<Box<Hedges<'a>>> {
        let retry = forward.retry.as_ref().filter(|retry| retry.policy().hedge && outgoing.retries)?;
        let limited = forward.timeouts.backend_request.is_some() || forward.timeouts.attempt_idle.is_some();
        let twice = idempotent(&exchange.method) && outgoing.body().is_none();
        (limited && twice).then(|| Box::new(Hedges { retry, cluster, overtaken: Vec::new() }))
    }

    /// One attempt at one endpoint, beside those that were overtaken. If it takes too long it is one of them from now on.
    pub(crate) async fn attempt(
        &mut self,
        exchange: &mut Exchange,
        endpoint: usize,
        outgoing: &Outgoing,
        begun: Time,
        timer: &mut Timer,
    ) -> Result<Response<Source>, Kind> {
        let (cluster, pool) = (self.cluster, self.cluster.pools[endpoint].clone());
        let mut copy = outgoing.again().ok_or(Kind::Protocol)?;
        upstream::enter(exchange, &pool);
        let answer = Box::pin(async move { upstream::send(cluster, endpoint, &mut copy, begun).await });
        let mut newest = Running { answer, pool, begun, active: None };
        match poll_fn(|cx| self.poll(cx, Some(&mut newest), None, timer)).await {
            Event::Newest(answer) => answer.map(|answered| exchange.answered(answered, begun)),
            Event::Overtaken(index, answered) => Ok(self.win(exchange, index, answered)),
            Event::Limit(Kind::AttemptTimeout) => {
                newest.active = Some(Active::new(newest.pool.clone()));
                self.overtaken.push(newest);
                Err(Kind::AttemptTimeout)
            }
            Event::Limit(kind) => {
                self.overtaken.clear();
                Err(kind)
            }
            // There is an attempt to wait for.
            Event::Over => Err(Kind::Protocol),
        }
    }

    /// Waits for those that were overtaken: through a pause, or without one until the last of them has failed. The answer that won, if any.
    pub(crate) async fn wait(
        &mut self,
        exchange: &mut Exchange,
        pause: Option<Duration>,
        timer: &mut Timer,
    ) -> Result<Option<Response<Source>>, Kind> {
        let mut pause = pause.map(|pause| Box::pin(tokio::time::sleep(pause)));
        match poll_fn(|cx| self.poll(cx, None, pause.as_mut().map(Pin::as_mut), timer)).await {
            Event::Overtaken(index, answered) => Ok(Some(self.win(exchange, index, answered))),
            Event::Limit(kind) => Err(kind),
            Event::Over | Event::Newest(_) => Ok(None),
        }
    }

    fn win(&mut self, exchange: &mut Exchange, index: usize, answered: Answered) -> Response<Source> {
        let Running { pool, begun, active, .. } = self.overtaken.swap_remove(index);
        self.overtaken.clear();
        exchange.adopt(active.unwrap_or_else(|| Active::new(pool)), begun);
        exchange.answered(answered, begun)
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        newest: Option<&mut Running<'a>>,
        pause: Option<Pin<&mut tokio::time::Sleep>>,
        timer: &mut Timer,
    ) -> Poll<Event> {
        let waits = newest.is_some();
        if let Some(newest) = newest
            && let Poll::Ready(answer) = newest.answer.as_mut().poll(cx)
        {
            if answer.as_ref().is_ok_and(|answered| self.is_good(answered)) {
                self.overtaken.clear();
            }
            return Poll::Ready(Event::Newest(answer));
        }
        let mut index = 0;
        while let Some(running) = self.overtaken.get_mut(index) {
            match running.answer.as_mut().poll(cx) {
                Poll::Pending => index += 1,
                Poll::Ready(Ok(answered)) if self.is_good(&answered) => {
                    return Poll::Ready(Event::Overtaken(index, answered));
                }
                Poll::Ready(_) => drop(self.overtaken.swap_remove(index)),
            }
        }
        let over = match pause {
            Some(pause) => pause.poll(cx).is_ready(),
            None => !waits && self.overtaken.is_empty(),
        };
        if over { Poll::Ready(Event::Over) } else { timer.poll(cx).map(Event::Limit) }
    }

    fn is_good(&self, answered: &Answered) -> bool {
        !self.retry.lists(answered.response.status(), answered.response.headers())
    }
}
