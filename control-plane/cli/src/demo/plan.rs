//! Decides what happens when: the phases, how long each is measured, and when each request is due. Pure.

use std::time::Duration;

/// Share of all time without a control plane, if nobody says otherwise: one part in so many.
const OUTAGE_PART: u32 = 5;
/// The shortest outage that is chosen.
const OUTAGE_LEAST: Duration = Duration::from_secs(3);
/// The shortest outage taken: less is not noticed.
const OUTAGE_SHORTEST: Duration = Duration::from_secs(1);
/// The shortest time a split is measured.
const MEASURE_LEAST: Duration = Duration::from_secs(1);
/// The longest demo.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// How many phases are measured beside the outage.
const MEASURED: u32 = 3;

/// The weights of the two versions of `reviews`.
pub(crate) type Weights = [u32; 2];

/// The canary's first step, and what the rollback goes back to.
pub(crate) const CANARY: Weights = [90, 10];
/// The canary's second step, which is served when the control plane dies.
pub(crate) const EVEN: Weights = [50, 50];

/// A part of the demo whose requests are counted together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    pub(crate) weights: Weights,
}

/// The phases, in order.
pub(crate) const PHASES: [Phase; 4] = [
    Phase { name: "90/10", weights: CANARY },
    Phase { name: "50/50", weights: EVEN },
    Phase { name: "outage", weights: EVEN },
    Phase { name: "rollback", weights: CANARY },
];
/// Where each of them is in [`PHASES`].
pub(crate) const FIRST: usize = 0;
pub(crate) const SECOND: usize = 1;
pub(crate) const OUTAGE: usize = 2;
pub(crate) const ROLLBACK: usize = 3;

/// How long things last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Plan {
    /// Each phase but the outage.
    pub(crate) measure: Duration,
    /// From the kill to the next start.
    pub(crate) outage: Duration,
}

impl Plan {
    /// Divides the time, or says why it cannot.
    pub(crate) fn new(duration: Duration, outage: Option<Duration>) -> Result<Plan, String> {
        if duration > LONGEST {
            return Err(format!("--duration {duration:?} is too long; at most 24h"));
        }
        let outage = outage.unwrap_or_else(|| (duration / OUTAGE_PART).max(OUTAGE_LEAST));
        if outage < OUTAGE_SHORTEST {
            return Err(format!(
                "--outage {outage:?} is too short to be noticed; at least {OUTAGE_SHORTEST:?}"
            ));
        }
        let least = outage + MEASURE_LEAST * MEASURED;
        if duration < least {
            return Err(format!(
                "--duration {duration:?} is too short for an outage of {outage:?} and three phases beside it; at least {least:?}"
            ));
        }
        Ok(Plan { measure: (duration - outage) / MEASURED, outage })
    }
}

/// When the request with this number is due, after the first one. Exact: it does not drift.
pub(crate) fn due(number: u64, rate: u32) -> Duration {
    let nanos = u128::from(number) * 1_000_000_000 / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
