//! Decides which requests are recorded.
//!
//! Second on a request's way through telemetry, a pure function of what came in and of chance. **The caller's decision holds**
//! (parent-based sampling); where there is none, a share of all traces is chosen by trace id, so that every sidecar that sees
//! a trace chooses alike. The rules, in order:
//!
//! | the request brings | recorded | headers going on |
//! |---|---|---|
//! | a sampled parent, or B3's debug flag | yes | rewritten with our span |
//! | an unsampled parent | no | untouched, so that the caller's span stays the parent of what follows |
//! | a B3 parent that leaves the decision open | by its trace id | rewritten if recorded, else untouched |
//! | B3's "yes" without ids | yes | a new trace |
//! | B3's "no" without ids | no | untouched |
//! | nothing | by the new trace's id | a new trace if recorded; else nothing, or a new unsampled context if configured |
//!
//! A request that is not recorded therefore costs the header look-ups of [`crate::context::extract`] and a multiplication.

use crate::context::{Decision, Formats, Incoming, RANDOM_TRACE_ID, SAMPLED, TraceContext};

/// All of them, in parts per million.
pub const ALWAYS: u32 = 1_000_000;

/// How traces are sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampler {
    /// The share of traces recorded that nobody decided on before, in parts per million; larger means all.
    pub ratio_ppm: u32,
    /// Start a context for requests that bring none and are not recorded, so that services behind us know not to record either.
    pub propagate_unsampled: bool,
    /// The formats of traces which begin here without a hint of what is spoken.
    pub root_formats: Formats,
}

impl Default for Sampler {
    fn default() -> Sampler {
        Sampler { ratio_ppm: 10_000, propagate_unsampled: false, root_formats: Formats::W3C }
    }
}

/// What to do about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// Record a span and inject `context` into the request that goes on.
    Record {
        /// The context of our span.
        context: TraceContext,
        /// The caller's span; `None` if the trace begins here.
        parent: Option<u64>,
    },
    /// Record nothing, but inject this new unsampled context.
    Propagate(TraceContext),
    /// Record nothing, change nothing.
    Pass,
}

impl Sampler {
    /// A sampler which takes every trace that its caller has not refused.
    pub const fn always() -> Sampler {
        Sampler { ratio_ppm: ALWAYS, propagate_unsampled: false, root_formats: Formats::W3C }
    }

    /// Decides about a request. `random` yields 64 random bits; it is asked for ids as needed.
    pub fn decide(&self, incoming: Incoming, mut random: impl FnMut() -> u64) -> Sampling {
        let root_formats = if incoming.formats.is_none() { self.root_formats } else { incoming.formats };
        let sampled = match (incoming.decision, &incoming.parent) {
            (Some(Decision::Deny), _) => false,
            (Some(Decision::Accept | Decision::Debug), _) => true,
            (None, Some(parent)) => self.chooses(parent.trace_id),
            (None, None) => {
                let context = new_trace(root_formats, &mut random);
                return if self.chooses(context.trace_id) {
                    Sampling::Record {
                        context: TraceContext { flags: context.flags | SAMPLED, ..context },
                        parent: None,
                    }
                } else if self.propagate_unsampled {
                    Sampling::Propagate(context)
                } else {
                    Sampling::Pass
                };
            }
        };
        if !sampled {
            return Sampling::Pass;
        }
        let parent = incoming.parent.as_ref().map(|parent| parent.span_id);
        let mut context = match incoming.parent {
            Some(parent) => TraceContext { span_id: nonzero(&mut random), ..parent },
            None => new_trace(root_formats, &mut random),
        };
        context.flags |= SAMPLED;
        context.debug = incoming.decision == Some(Decision::Debug);
        Sampling::Record { context, parent }
    }

    /// Whether a trace is in the recorded share, judged by the low 56 bits of its id: the randomness that Level 2 of W3C Trace
    /// Context promises and OpenTelemetry's consistent probability sampling uses, with the same "at least the threshold" rule.
    pub fn chooses(&self, trace_id: u128) -> bool {
        const RANGE: u64 = 1 << 56;
        let ratio = u64::from(self.ratio_ppm.min(ALWAYS));
        let refused = u128::from(ALWAYS as u64 - ratio) * u128::from(RANGE) / u128::from(ALWAYS);
        let randomness = trace_id & u128::from(RANGE - 1);
        ratio != 0 && randomness >= refused
    }
}

/// A span id: random and never zero.
pub fn nonzero(mut random: impl FnMut() -> u64) -> u64 {
    // A generator which yields only zeros is broken; one stays a valid id even then.
    let id = random();
    if id != 0 { id } else { random().max(1) }
}

fn new_trace(formats: Formats, random: &mut impl FnMut() -> u64) -> TraceContext {
    let trace_id = u128::from(nonzero(&mut *random)) << 64 | u128::from(random());
    TraceContext {
        trace_id,
        span_id: nonzero(random),
        flags: RANDOM_TRACE_ID,
        debug: false,
        formats,
        trace_state: None,
    }
}

#[cfg(test)]
mod tests;
