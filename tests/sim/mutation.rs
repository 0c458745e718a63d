//! Mistakes put in on purpose, one at a time: each must make the simulation fail, or its checks prove nothing.

use std::str::FromStr;

/// A mistake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mutation {
    /// Sessions deliver routes before the clusters they refer to.
    RoutesBeforeClusters,
    /// A node that refuses a resource gives up the last good one.
    ForgetLastGood,
    /// A node accepts in words what it refuses in fact, so that what the last good resource refers to is taken away.
    AcceptInWords,
    /// The store forgets its newest batch when the control plane dies.
    LoseWrites,
    /// Streams now and then get what the world before this one meant.
    OldWorlds,
    /// The control plane forgets who had joined when it restarts.
    ForgetLeases,
}

impl Mutation {
    /// All of them.
    pub(crate) const ALL: [Self; 6] = [
        Self::RoutesBeforeClusters,
        Self::ForgetLastGood,
        Self::AcceptInWords,
        Self::LoseWrites,
        Self::OldWorlds,
        Self::ForgetLeases,
    ];

    /// As `WEIR_SIM_MUTATION` says it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RoutesBeforeClusters => "routes-before-clusters",
            Self::ForgetLastGood => "forget-last-good",
            Self::AcceptInWords => "accept-in-words",
            Self::LoseWrites => "lose-writes",
            Self::OldWorlds => "old-worlds",
            Self::ForgetLeases => "forget-leases",
        }
    }
}

impl FromStr for Mutation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|mutation| mutation.name() == text);
        known.ok_or_else(|| format!("{text:?} is no mutation; there are {:?}", Self::ALL.map(Self::name)))
    }
}
