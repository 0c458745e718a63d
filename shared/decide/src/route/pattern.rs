//! Regular expressions of matches: on whole values, in linear time, in bounded memory.
//!
//! An expression becomes a table with one step per byte, which all workers read without a lock or scratch space. One whose table would be
//! too large is refused, here and by the policy API alike: there is no second engine to fall back to.

mod syntax;

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::{Anchored, Input, MatchKind};
use regex_syntax::hir::{Hir, HirKind, literal};
use std::collections::HashMap;
use std::sync::Arc;
use weir_model::limits;

/// Why a regular expression cannot be matched on. Reads on from the expression or its field: "is not …".
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RegexError {
    /// It has this many bytes.
    TooLong(usize),
    /// It is no RE2 syntax: why, and the byte at which.
    Syntax {
        /// What is wrong.
        what: String,
        /// Where, in bytes from the beginning.
        at: usize,
    },
    /// Its table would exceed [`limits::REGEX_MEMORY`].
    TooLarge,
    /// With the others of its route configuration it would exceed [`limits::REGEX_MEMORY_TOTAL`].
    TooLargeTogether,
}

impl std::fmt::Display for RegexError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLong(length) => {
                write!(f, "is {length} bytes long; at most {} are allowed", limits::REGEX_BYTES)
            }
            Self::Syntax { what, at } => {
                write!(f, "is not a regular expression in RE2 syntax: {what} (at byte {at})")
            }
            Self::TooLarge => write!(
                f,
                "needs a table of more than {} bytes; lower its repetition counts, or repeat something narrower, such as [^/] for .",
                limits::REGEX_MEMORY
            ),
            Self::TooLargeTogether => write!(
                f,
                "the regular expressions of this route configuration need more than {} bytes together; use fewer or simpler ones",
                limits::REGEX_MEMORY_TOTAL
            ),
        }
    }
}

impl std::error::Error for RegexError {}

/// A parsed expression.
#[derive(Clone, Debug)]
pub(super) struct Expression {
    hir: Hir,
}

/// An expression without the literal that it begins with, so that expressions which differ only in that become one.
#[derive(Clone, Debug)]
pub(super) struct Divided {
    /// What every match begins with; empty if nothing is sure.
    pub(super) beginning: Box<[u8]>,
    /// How many bytes of a value are matched by the beginning alone: all of it, or none where the rest needs to see it.
    pub(super) skip: usize,
    /// What the remaining bytes have to match.
    pub(super) rest: Expression,
}

impl Expression {
    /// Parses RE2 syntax, of a length within the limits.
    pub(super) fn parse(text: &str) -> Result<Self, RegexError> {
        if text.len() > limits::REGEX_BYTES {
            return Err(RegexError::TooLong(text.len()));
        }
        Ok(Self { hir: syntax::parse(text)? })
    }

    /// What it means.
    pub(super) fn hir(&self) -> &Hir {
        &self.hir
    }

    /// Divides off the beginning.
    pub(super) fn divide(self) -> Divided {
        let (literal, rest) = match self.hir.kind() {
            HirKind::Literal(literal) => (&literal.0, Hir::empty()),
            HirKind::Concat(parts) => match parts.split_first().map(|(first, rest)| (first.kind(), rest)) {
                Some((HirKind::Literal(literal), rest)) => (&literal.0, Hir::concat(rest.to_vec())),
                _ => return self.undivided(),
            },
            _ => return self.undivided(),
        };
        // Assertions look back at what would no longer be there.
        match rest.properties().look_set().is_empty() {
            true => Divided { beginning: literal.clone(), skip: literal.len(), rest: Self { hir: rest } },
            false => self.undivided(),
        }
    }

    fn undivided(self) -> Divided {
        let beginnings = literal::Extractor::new().extract(&self.hir);
        let beginning = beginnings.longest_common_prefix().unwrap_or_default().into();
        Divided { beginning, skip: 0, rest: self }
    }
}

/// Several expressions that are tried on a value at once, as one table.
#[derive(Debug)]
pub(super) struct Patterns {
    table: dense::DFA<Vec<u32>>,
}

impl Patterns {
    /// Compiles expressions into one table; `None` if it would grow too large.
    fn compile(expressions: &[&Expression]) -> Option<Self> {
        let hirs: Vec<&Hir> = expressions.iter().map(|expression| &expression.hir).collect();
        let config = thompson::Config::new()
            .which_captures(WhichCaptures::None)
            .nfa_size_limit(Some(limits::REGEX_MEMORY));
        // What the parser lets through fails only for its size.
        let nfa = thompson::Compiler::new().configure(config).build_many_from_hir(&hirs).ok()?;
        let config = dense::Config::new()
            .match_kind(MatchKind::All)
            .start_kind(StartKind::Anchored)
            .accelerate(false)
            .dfa_size_limit(Some(limits::REGEX_MEMORY))
            .determinize_size_limit(Some(limits::REGEX_MEMORY));
        let table = dense::Builder::new().configure(config).build_from_nfa(&nfa).ok()?;
        Some(Self { table })
    }

    /// Calls `found` with the position of each expression that matches the whole value.
    pub(super) fn matches(&self, value: &[u8], mut found: impl FnMut(usize)) {
        let Some(state) = walk(&self.table, value) else { return };
        for index in 0..self.table.match_len(state) {
            found(self.table.match_pattern(state, index).as_usize());
        }
    }

    /// Whether any expression matches the whole value.
    pub(super) fn is_match(&self, value: &[u8]) -> bool {
        walk(&self.table, value).is_some()
    }

    /// Bytes it occupies.
    pub(super) fn memory(&self) -> usize {
        self.table.memory_usage()
    }
}

/// The state after the whole value, if it is one in which an expression has matched all of it.
fn walk(table: &dense::DFA<Vec<u32>>, value: &[u8]) -> Option<regex_automata::util::primitives::StateID> {
    let mut state = table.start_state_forward(&Input::new(value).anchored(Anchored::Yes)).ok()?;
    for byte in value {
        state = table.next_state(state, *byte);
        if table.is_special_state(state) && table.is_dead_state(state) {
            return None;
        }
    }
    let state = table.next_eoi_state(state);
    table.is_match_state(state).then_some(state)
}

/// The expressions of one route configuration: what is the same is compiled once, and all together stay within
/// [`limits::REGEX_MEMORY_TOTAL`].
#[derive(Debug, Default)]
pub(super) struct Library {
    /// By the expressions as they print, which is equal only for what matches alike.
    compiled: HashMap<String, Arc<Patterns>>,
    memory: usize,
}

impl Library {
    /// One expression for one value.
    pub(super) fn single(&mut self, text: &str) -> Result<Arc<Patterns>, RegexError> {
        self.together(&[&Expression::parse(text)?])?.ok_or(RegexError::TooLarge)
    }

    /// Several expressions that are tried at once; `None` if they grow too large.
    pub(super) fn together(
        &mut self,
        expressions: &[&Expression],
    ) -> Result<Option<Arc<Patterns>>, RegexError> {
        let texts: Vec<String> = expressions.iter().map(|expression| expression.hir.to_string()).collect();
        let key = texts.join("\0");
        if let Some(known) = self.compiled.get(&key) {
            return Ok(Some(known.clone()));
        }
        let Some(patterns) = Patterns::compile(expressions).map(Arc::new) else { return Ok(None) };
        self.memory = self.memory.saturating_add(patterns.memory());
        if self.memory > limits::REGEX_MEMORY_TOTAL {
            return Err(RegexError::TooLargeTogether);
        }
        self.compiled.insert(key, patterns.clone());
        Ok(Some(patterns))
    }
}

#[cfg(test)]
mod tests;
