//! The intended differences between the sidecar and Envoy: each with its reason, each matched as narrowly as it can be told. One that no
//! case meets any more fails the run, so that the list stays as short as the differences are few.

use crate::compare::Difference;
use crate::request::{Outcome, Request};

/// A difference that is meant.
pub(crate) struct Intended {
    /// What differs.
    pub(crate) what: &'static str,
    /// Why it is meant.
    pub(crate) reason: &'static str,
    /// Whether a difference is this one.
    pub(crate) is: fn(&Case<'_>) -> bool,
}

/// A difference with all that it may depend on.
pub(crate) struct Case<'a> {
    pub(crate) request: &'a Request,
    pub(crate) envoy: &'a Outcome,
    pub(crate) weir: &'a Outcome,
    pub(crate) difference: &'a Difference,
}

impl Case<'_> {
    fn is(&self, part: &str, envoy: &str, weir: &str) -> bool {
        let difference = self.difference;
        difference.part == part && difference.envoy == envoy && difference.weir == weir
    }

    /// Whether no upstream answered either.
    fn local(&self) -> bool {
        let upstream = |outcome: &Outcome| outcome.answer.headers.iter().any(|(name, _)| name == "x-backend");
        !upstream(self.envoy) && !upstream(self.weir)
    }

    /// Whether both answered by themselves, and for the same reason.
    fn both_refuse(&self) -> bool {
        let flags = |outcome: &Outcome| outcome.logged.as_ref().map(|logged| logged.flags.clone());
        self.envoy.answer.status == self.weir.answer.status
            && self.envoy.answer.status >= 400
            && flags(self.envoy).is_some_and(|flags| !flags.is_empty())
            && flags(self.envoy) == flags(self.weir)
    }
}

/// All of them.
pub(crate) const INTENDED: &[Intended] = &[
    Intended {
        what: "`server` in answers that no upstream gave",
        reason: "weir says who answered; an Envoy that passes the upstream's `server` on says nothing",
        is: |case| case.local() && case.is("answer.header.server", "", "\"weir\""),
    },
    Intended {
        what: "the second in `date`",
        reason: "it is read from two clocks",
        is: |case| {
            let [envoy, weir] = [&case.difference.envoy, &case.difference.weir].map(|date| seconds(date));
            let both = envoy.zip(weir).is_some_and(|(one, other)| one.abs_diff(other) <= 5);
            case.difference.part == "answer.header.date" && both
        },
    },
    Intended {
        what: "the words of a refusal",
        reason: "weir says why in its own words and names the response flag, an Envoy says less or nothing",
        is: |case| {
            let parts = ["answer.body", "answer.header.content-length", "answer.header.content-type"];
            case.both_refuse() && parts.contains(&case.difference.part.as_str())
        },
    },
    Intended {
        what: "`x-forwarded-proto` of a request that has none",
        reason: "nothing behind a sidecar on a plain-text listener learns from it",
        is: |case| {
            let part = &case.difference.part;
            part.starts_with("seen[")
                && part.ends_with("].header.x-forwarded-proto")
                && case.difference.envoy == "\"http\""
                && case.difference.weir.is_empty()
        },
    },
];

/// The seconds of the day of a quoted date as HTTP has it.
fn seconds(date: &str) -> Option<u32> {
    let date = date.strip_prefix('"')?.strip_suffix(" GMT\"")?;
    let mut parts = date.get(date.len() - 8..)?.split(':').map(|part| part.parse::<u32>().ok());
    Some(parts.next()?? * 3600 + parts.next()?? * 60 + parts.next()??)
}
