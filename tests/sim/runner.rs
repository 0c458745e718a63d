//! Many seeds on two threads, and what to tell of one that fails.

use crate::mutation::Mutation;
use crate::world::{Stats, World};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Threads that run seeds.
const THREADS: u64 = 2;

/// A run that broke an invariant.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) seed: u64,
    mutation: Option<Mutation>,
    steps: u64,
    pub(crate) why: String,
    tail: Vec<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "\nseed {} breaks an invariant at step {}; the last events:", self.seed, self.steps)?;
        for line in &self.tail {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "{}", self.why)?;
        write!(f, "replay it: {}", self.replay())
    }
}

impl Failure {
    /// The command that shows it again, from the first event on.
    pub(crate) fn replay(&self) -> String {
        let mutation = self
            .mutation
            .map(|mutation| format!("WEIR_SIM_MUTATION={} ", mutation.name()))
            .unwrap_or_default();
        format!(
            "{mutation}WEIR_SIM_SEED={} cargo test -p weir-tests --test sim replay -- --nocapture",
            self.seed
        )
    }
}

/// The mesh of one seed, from beginning to end: the hash of its events.
pub(crate) fn run(seed: u64, mutation: Option<Mutation>, print: bool) -> Result<(u64, Stats), Box<Failure>> {
    let mut world = World::new(seed, mutation, print);
    match world.run() {
        Ok(()) => Ok((world.journal.hash(), world.stats)),
        Err(why) => {
            let (steps, tail) = (world.stats.steps, world.journal.tail());
            Err(Box::new(Failure { seed, mutation, steps, why, tail }))
        }
    }
}

/// All seeds of a range, or the first failure met. With `WEIR_SIM_SURVEY` set, all failures are told in a line each on the way.
pub(crate) fn run_all(seeds: Range<u64>, mutation: Option<Mutation>) -> Result<Stats, Box<Failure>> {
    let survey = std::env::var_os("WEIR_SIM_SURVEY").is_some();
    let next = AtomicU64::new(seeds.start);
    let outcome = Mutex::new((Stats::default(), None::<Box<Failure>>));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let run = run(seed, mutation, false);
                    let mut outcome = outcome.lock().unwrap();
                    match run {
                        Ok((_, stats)) => outcome.0.add(stats),
                        Err(failure) => {
                            if survey {
                                println!("seed {}: {}", failure.seed, failure.why);
                            }
                            // The lowest seed, so that the same one is named every time.
                            if outcome.1.as_ref().is_none_or(|known| failure.seed < known.seed) {
                                outcome.1 = Some(failure);
                            }
                            if !survey {
                                next.store(seeds.end, Ordering::Relaxed);
                            }
                        }
                    }
                }
            });
        }
    });
    match outcome.into_inner().unwrap() {
        (_, Some(failure)) => Err(failure),
        (stats, None) => Ok(stats),
    }
}

impl Stats {
    fn add(&mut self, more: Stats) {
        self.runs += more.runs;
        self.steps += more.steps;
        self.messages += more.messages;
        self.writes += more.writes;
        self.refused_writes += more.refused_writes;
        self.rollbacks += more.rollbacks;
        self.nacks += more.nacks;
        self.crashes += more.crashes;
        self.restarts += more.restarts;
        self.resets += more.resets;
        self.partitions += more.partitions;
    }
}
