//! What an expression matches in a text is replaced, as RE2's `GlobalReplace` does it.
//!
//! Groups need more than the tables that conditions are matched with, so that such a rewrite allocates while it works; only routes that
//! have one pay for that. Time is bounded by the length of the text times [`limits::SUBSTITUTE_MEMORY`].

use super::RouteError;
use super::pattern::{Expression, RegexError};
use regex_automata::Input;
use regex_automata::nfa::thompson::{self, pikevm::PikeVM};
use std::borrow::Cow;
use weir_model::{Substitution, limits};

/// A [`Substitution`], compiled. Immutable; shared by all workers.
#[derive(Debug)]
pub struct Substitute {
    machine: PikeVM,
    parts: Box<[Part]>,
}

#[derive(Debug, PartialEq)]
enum Part {
    Text(Box<str>),
    Group(usize),
}

impl Substitute {
    /// Compiles an expression and what comes in its place.
    ///
    /// # Errors
    ///
    /// With the field of the message: an expression that is none or needs too much memory, a replacement that names a group it has not.
    pub fn compile(model: &Substitution) -> Result<Self, RouteError> {
        let unusable = |error: RegexError| RouteError::new("pattern.regex", error.to_string());
        let expression = Expression::parse(&model.pattern).map_err(unusable)?;
        let config = thompson::Config::new().nfa_size_limit(Some(limits::SUBSTITUTE_MEMORY));
        let too_large = || {
            let most = limits::SUBSTITUTE_MEMORY;
            let message = format!(
                "needs more than {most} bytes; lower its repetition counts, or repeat something narrower, such as [^/] for ."
            );
            RouteError::new("pattern.regex", message)
        };
        let nfa = thompson::Compiler::new().configure(config).build_from_hir(expression.hir());
        let nfa = nfa.map_err(|_| too_large())?;
        let machine = PikeVM::new_from_nfa(nfa).map_err(|_| too_large())?;
        let groups = machine.get_nfa().group_info().group_len(regex_automata::PatternID::ZERO);
        let parts =
            parse(&model.replacement, groups).map_err(|message| RouteError::new("substitution", message))?;
        Ok(Self { machine, parts })
    }

    /// The text with every match replaced; borrows where there is none.
    pub fn apply<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut cache = self.machine.create_cache();
        let mut groups = self.machine.create_captures();
        let mut result = String::new();
        let (mut at, mut last_end, mut found) = (0, None, false);
        while at <= text.len() {
            self.machine.captures(&mut cache, Input::new(text).range(at..), &mut groups);
            let Some(whole) = groups.get_match() else { break };
            result.push_str(&text[at..whole.start()]);
            if whole.is_empty() && last_end == Some(whole.start()) {
                // Nothing cannot match where a match has just ended: one character further on.
                let Some(next) = text[whole.start()..].chars().next() else {
                    at = text.len();
                    break;
                };
                result.push(next);
                at = whole.start() + next.len_utf8();
                continue;
            }
            for part in &self.parts {
                match part {
                    Part::Text(text) => result.push_str(text),
                    Part::Group(group) => {
                        result.push_str(groups.get_group(*group).map_or("", |span| &text[span.range()]));
                    }
                }
            }
            at = whole.end();
            (last_end, found) = (Some(at), true);
        }
        if !found {
            return Cow::Borrowed(text);
        }
        result.push_str(&text[at.min(text.len())..]);
        Cow::Owned(result)
    }
}

/// The parts of a replacement for an expression with so many groups, the whole match among them.
fn parse(replacement: &str, groups: usize) -> Result<Box<[Part]>, String> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = replacement.chars();
    while let Some(char) = rest.next() {
        let group = match (char, if char == '\\' { rest.next() } else { None }) {
            ('\\', Some('\\')) => {
                text.push('\\');
                continue;
            }
            ('\\', Some(digit @ '0'..='9')) => digit.to_digit(10).unwrap_or_default() as usize,
            ('\\', _) => {
                return Err("a lone backslash; write \\0 to \\9 for groups and \\\\ for itself".to_owned());
            }
            (char, _) => {
                text.push(char);
                continue;
            }
        };
        if group >= groups {
            return Err(format!("\\{group} is no group of the pattern, which has {}", groups - 1));
        }
        if !text.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut text).into()));
        }
        parts.push(Part::Group(group));
    }
    if !text.is_empty() {
        parts.push(Part::Text(text.into()));
    }
    Ok(parts.into())
}

#[cfg(test)]
mod tests;
