//! Regular expressions of matches: on whole values, in linear time, in bounded memory.
//!
//! An expression becomes a table with one step per byte, which all workers read without a lock or scratch space. A few expressions
//! (Unicode word boundaries, large counted repetitions of large classes) have no table of acceptable size; they run on an engine
//! that builds it as it goes, in scratch space the engine pools.

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_automata::{Anchored, Input, MatchKind, meta};
use regex_syntax::hir::{Hir, HirKind, Look, literal};
use std::collections::HashMap;
use std::sync::Arc;
use weir_model::limits;

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
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > limits::REGEX_BYTES {
            return Err(format!("is {} bytes long; at most {} are allowed", text.len(), limits::REGEX_BYTES));
        }
        let hir = regex_syntax::parse(text).map_err(|error| match error {
            regex_syntax::Error::Parse(error) => said(error.kind(), error.span()),
            regex_syntax::Error::Translate(error) => said(error.kind(), error.span()),
            other => other.to_string(),
        })?;
        Ok(Self { hir })
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

fn said(kind: &impl std::fmt::Display, span: &regex_syntax::ast::Span) -> String {
    format!("is not a regular expression in RE2 syntax: {kind} (at byte {})", span.start.offset)
}

/// Several expressions that are tried on a value at once.
#[derive(Debug)]
pub(super) enum Patterns {
    /// One table for all of them.
    Table(Box<dense::DFA<Vec<u32>>>),
    /// The one that has no table.
    Engine(Box<meta::Regex>),
}

impl Patterns {
    /// Compiles expressions into one table, `None` if it would grow too large. A single expression always becomes something, or an
    /// error says what is wrong with it.
    fn compile(expressions: &[&Expression]) -> Result<Option<Self>, String> {
        let hirs: Vec<&Hir> = expressions.iter().map(|expression| &expression.hir).collect();
        let config = thompson::Config::new()
            .which_captures(WhichCaptures::None)
            .nfa_size_limit(Some(limits::REGEX_MEMORY));
        let nfa = match thompson::Compiler::new().configure(config).build_many_from_hir(&hirs) {
            Ok(nfa) => nfa,
            Err(_) if hirs.len() > 1 => return Ok(None),
            Err(_) => return Err(too_large()),
        };
        match (table(&nfa), hirs.as_slice()) {
            (Some(table), _) => Ok(Some(Self::Table(Box::new(table)))),
            (None, [hir]) => engine(hir).map(|engine| Some(Self::Engine(Box::new(engine)))),
            (None, _) => Ok(None),
        }
    }

    /// Calls `found` with the position of each expression that matches the whole value.
    pub(super) fn matches(&self, value: &[u8], mut found: impl FnMut(usize)) {
        match self {
            Self::Table(table) => {
                let Some(state) = walk(table, value) else { return };
                for index in 0..table.match_len(state) {
                    found(table.match_pattern(state, index).as_usize());
                }
            }
            Self::Engine(engine) => {
                if engine.is_match(value) {
                    found(0);
                }
            }
        }
    }

    /// Whether any expression matches the whole value.
    pub(super) fn is_match(&self, value: &[u8]) -> bool {
        match self {
            Self::Table(table) => walk(table, value).is_some(),
            Self::Engine(engine) => engine.is_match(value),
        }
    }

    /// Bytes it occupies, scratch space of one worker included.
    pub(super) fn memory(&self) -> usize {
        match self {
            Self::Table(table) => table.memory_usage(),
            Self::Engine(engine) => engine.memory_usage() + SCRATCH,
        }
    }
}

/// Scratch space of an engine that builds its table as it goes.
const SCRATCH: usize = limits::REGEX_MEMORY / 4;

fn table(nfa: &NFA) -> Option<dense::DFA<Vec<u32>>> {
    let config = dense::Config::new()
        .match_kind(MatchKind::All)
        .start_kind(StartKind::Anchored)
        .accelerate(false)
        .dfa_size_limit(Some(limits::REGEX_MEMORY))
        .determinize_size_limit(Some(limits::REGEX_MEMORY));
    dense::Builder::new().configure(config).build_from_nfa(nfa).ok()
}

fn engine(hir: &Hir) -> Result<meta::Regex, String> {
    let whole = Hir::concat(vec![Hir::look(Look::Start), hir.clone(), Hir::look(Look::End)]);
    let config =
        meta::Config::new().nfa_size_limit(Some(2 * limits::REGEX_MEMORY)).hybrid_cache_capacity(SCRATCH);
    meta::Builder::new().configure(config).build_from_hir(&whole).map_err(|_| too_large())
}

fn too_large() -> String {
    format!("needs more than {} bytes when compiled; lower its repetition counts", limits::REGEX_MEMORY)
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
    pub(super) fn single(&mut self, text: &str) -> Result<Arc<Patterns>, String> {
        self.together(&[&Expression::parse(text)?])?.ok_or_else(too_large)
    }

    /// Several expressions that are tried at once; `None` if they grow too large, which a single one does not.
    pub(super) fn together(&mut self, expressions: &[&Expression]) -> Result<Option<Arc<Patterns>>, String> {
        let texts: Vec<String> = expressions.iter().map(|expression| expression.hir.to_string()).collect();
        let key = texts.join("\0");
        if let Some(known) = self.compiled.get(&key) {
            return Ok(Some(known.clone()));
        }
        let Some(patterns) = Patterns::compile(expressions)?.map(Arc::new) else { return Ok(None) };
        self.memory = self.memory.saturating_add(patterns.memory());
        if self.memory > limits::REGEX_MEMORY_TOTAL {
            let total = limits::REGEX_MEMORY_TOTAL;
            return Err(format!(
                "the regular expressions of this route configuration need more than {total} bytes together; use fewer or simpler ones"
            ));
        }
        self.compiled.insert(key, patterns.clone());
        Ok(Some(patterns))
    }
}

#[cfg(test)]
mod tests;
