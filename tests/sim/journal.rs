//! What happened, as lines: hashed, so that two runs can be compared, and the last ones kept for whoever reads a failure.

use std::collections::VecDeque;
use std::fmt::Arguments;
use weir_model::Version;

/// Lines kept for a failure.
const KEPT: usize = 60;

/// The log of one run.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    hash: u64,
    tail: VecDeque<String>,
    print: bool,
}

impl Journal {
    /// A log; printed as it grows if asked for.
    pub(crate) fn new(print: bool) -> Self {
        Self { print, ..Self::default() }
    }

    /// Adds a line.
    pub(crate) fn note(&mut self, micros: u64, what: Arguments<'_>) {
        let line = format!("{:>10.3} ms  {what}", micros as f64 / 1000.0);
        self.hash = Version::of(&(self.hash, &line)).0;
        if self.print {
            println!("{line}");
        }
        if self.tail.len() == KEPT {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }

    /// The hash of all lines so far.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// The last lines.
    pub(crate) fn tail(&self) -> Vec<String> {
        self.tail.iter().cloned().collect()
    }
}
