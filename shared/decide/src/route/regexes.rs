//! Regular expressions on paths, many at once: only those whose literal beginning the path has are run, and those of one
//! beginning run as one table, or as few as memory allows.

use super::hashing::Table;
use super::pattern::{Divided, Expression, Library, Patterns, RegexError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_model::limits;

/// Values by regular expression.
#[derive(Debug)]
pub(super) struct Regexes<T> {
    /// By what all matches begin with.
    groups: Table<Box<[u8]>, Box<[Set<T>]>>,
    /// The lengths of those beginnings, the longest first.
    lengths: Box<[usize]>,
}

/// Expressions that run as one, and the value of each.
#[derive(Debug)]
struct Set<T> {
    /// Bytes at the beginning that need no more matching.
    skip: usize,
    patterns: Arc<Patterns>,
    values: Box<[T]>,
}

/// How many expressions are tried as one table at first; twice as many whenever they come out small, half as many whenever they
/// grow too large.
const TOGETHER: usize = 64;

/// A table up to this size in bytes may as well be twice as large.
const SMALL: usize = limits::REGEX_MEMORY / 16;

impl<T> Regexes<T> {
    /// Compiles expressions, each with its value, in order of their rank. An error comes with the position of the expression it is about.
    pub(super) fn compile(
        expressions: Vec<(Expression, T)>,
        library: &mut Library,
    ) -> Result<Self, (usize, RegexError)> {
        let mut begun: Begun<T> = BTreeMap::new();
        for (position, (expression, value)) in expressions.into_iter().enumerate() {
            let Divided { beginning, skip, rest } = expression.divide();
            begun.entry((beginning, skip)).or_default().push(Entry { position, rest, value });
        }
        let mut groups: BTreeMap<Box<[u8]>, Vec<Set<T>>> = BTreeMap::new();
        for ((beginning, skip), entries) in begun {
            compile_group(entries, skip, library, groups.entry(beginning).or_default())?;
        }
        let lengths: BTreeSet<usize> = groups.keys().map(|beginning| beginning.len()).collect();
        let groups = groups.into_iter().map(|(beginning, sets)| (beginning, sets.into()));
        Ok(Self { groups: groups.collect(), lengths: lengths.into_iter().rev().collect() })
    }

    /// Calls `found` with the value of each expression that matches the whole path. Where the first of some that run as one is not
    /// `wanted`, those of higher rank are not either, and none is run.
    pub(super) fn search(&self, path: &str, wanted: impl Fn(&T) -> bool, mut found: impl FnMut(&T)) {
        let path = path.as_bytes();
        let beginnings = self.lengths.iter().filter_map(|length| path.get(..*length));
        for set in beginnings.filter_map(|beginning| self.groups.get(beginning)).flatten() {
            if set.values.first().is_some_and(&wanted) {
                set.patterns.matches(&path[set.skip..], |position| found(&set.values[position]));
            }
        }
    }
}

/// Expressions by their beginning and how much of it they skip.
type Begun<T> = BTreeMap<(Box<[u8]>, usize), Vec<Entry<T>>>;

struct Entry<T> {
    position: usize,
    rest: Expression,
    value: T,
}

/// Compiles the expressions of one beginning into as few tables as fit.
fn compile_group<T>(
    mut entries: Vec<Entry<T>>,
    skip: usize,
    library: &mut Library,
    sets: &mut Vec<Set<T>>,
) -> Result<(), (usize, RegexError)> {
    let mut size = TOGETHER;
    while let Some(first) = entries.first().map(|entry| entry.position) {
        size = size.min(entries.len());
        let taken = size;
        let expressions: Vec<&Expression> = entries[..taken].iter().map(|entry| &entry.rest).collect();
        match library.together(&expressions).map_err(|error| (first, error))? {
            Some(patterns) => {
                if patterns.memory() <= SMALL {
                    size *= 2;
                }
                let values = entries.drain(..taken).map(|entry| entry.value).collect();
                sets.push(Set { skip, patterns, values });
            }
            None if taken == 1 => return Err((first, RegexError::TooLarge)),
            None => size = taken / 2,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
