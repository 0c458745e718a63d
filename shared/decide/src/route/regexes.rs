//! Regular expressions on paths, many at once: only those whose literal beginning the path has are run, and those of one
//! beginning run as one table.

use super::pattern::{Expression, Library, Patterns};

/// Values by regular expression.
#[derive(Debug)]
pub(super) struct Regexes<T> {
    /// Groups in order of their literal beginning.
    groups: Box<[Group<T>]>,
}

/// The expressions whose matches all begin alike.
#[derive(Debug)]
struct Group<T> {
    beginning: Box<[u8]>,
    /// The group with the longest proper beginning of this one.
    above: Option<usize>,
    sets: Box<[Set<T>]>,
}

/// Expressions that run as one, and the value of each.
#[derive(Debug)]
struct Set<T> {
    patterns: Patterns,
    values: Box<[T]>,
}

/// Expressions that are tried as one table; more make it large without making it faster.
const TOGETHER: usize = 64;

impl<T> Regexes<T> {
    /// Compiles expressions, each with its value. An error comes with the position of the expression it is about.
    pub(super) fn compile(
        expressions: Vec<(Expression, T)>,
        library: &mut Library,
    ) -> Result<Self, (usize, String)> {
        let mut entries: Vec<Entry<T>> = expressions
            .into_iter()
            .enumerate()
            .map(|(position, (expression, value))| Entry {
                beginning: expression.beginning(),
                position,
                expression,
                value,
            })
            .collect();
        entries.sort_by(|one, other| (&one.beginning, one.position).cmp(&(&other.beginning, other.position)));
        let mut groups: Vec<Group<T>> = Vec::new();
        while !entries.is_empty() {
            let end = entries.partition_point(|entry| entry.beginning == entries[0].beginning);
            let rest = entries.split_off(end);
            let beginning: Box<[u8]> = entries[0].beginning.as_slice().into();
            let mut sets = Vec::new();
            while !entries.is_empty() {
                let rest = entries.split_off(entries.len().min(TOGETHER));
                compile_together(entries, library, &mut sets)?;
                entries = rest;
            }
            let above = enclosing(&groups, &beginning);
            groups.push(Group { beginning, above, sets: sets.into() });
            entries = rest;
        }
        Ok(Self { groups: groups.into() })
    }

    /// Calls `found` with the value of each expression that matches the whole path. Sets none of whose values `wanted` wants are
    /// not run.
    pub(super) fn search(&self, path: &str, wanted: impl Fn(&T) -> bool, mut found: impl FnMut(&T)) {
        let path = path.as_bytes();
        // The group just before the path, or one of those above it, is the longest beginning of the path that there is.
        let after = self.groups.partition_point(|group| *group.beginning <= *path);
        let mut at = after.checked_sub(1);
        while let Some(group) = at.map(|at| &self.groups[at]) {
            if path.starts_with(&group.beginning) {
                for set in group.sets.iter().filter(|set| set.values.iter().any(&wanted)) {
                    set.patterns.matches(path, |position| found(&set.values[position]));
                }
            }
            at = group.above;
        }
    }
}

struct Entry<T> {
    beginning: Vec<u8>,
    position: usize,
    expression: Expression,
    value: T,
}

/// One table for all, or for each half where that grows too large.
fn compile_together<T>(
    mut entries: Vec<Entry<T>>,
    library: &mut Library,
    sets: &mut Vec<Set<T>>,
) -> Result<(), (usize, String)> {
    let expressions: Vec<&Expression> = entries.iter().map(|entry| &entry.expression).collect();
    let position = entries[0].position;
    match Patterns::compile(&expressions).map_err(|message| (position, message))? {
        Some(patterns) => {
            library.account(&patterns).map_err(|message| (position, message))?;
            let values = entries.into_iter().map(|entry| entry.value).collect();
            sets.push(Set { patterns, values });
            Ok(())
        }
        None => {
            let rest = entries.split_off(entries.len() / 2);
            compile_together(entries, library, sets)?;
            compile_together(rest, library, sets)
        }
    }
}

/// The last group that is a proper beginning: groups come in order, so it is the one before, or above that.
fn enclosing<T>(groups: &[Group<T>], beginning: &[u8]) -> Option<usize> {
    let mut at = groups.len().checked_sub(1);
    while let Some(index) = at {
        if beginning.starts_with(&groups[index].beginning) {
            return Some(index);
        }
        at = groups[index].above;
    }
    None
}

#[cfg(test)]
mod tests;
