//! RE2's syntax, with RE2's meaning.
//!
//! The parser knows more than RE2 and means by some of it something else. What RE2 knows is given RE2's meaning: `\d`, `\s`, `\w` and `\b` are
//! ASCII, everything else is Unicode. What RE2 does not know, or reads as something else, is refused: another data plane would not take it,
//! or would take it for other requests.

use super::RegexError;
use regex_syntax::ast::parse::Parser;
use regex_syntax::ast::{
    AssertionKind, Ast, ClassBracketed, ClassPerl, ClassPerlKind, ClassSet, ClassSetItem, ClassSetRange,
    ClassSetUnion, ClassUnicodeKind, Flag, Flags, FlagsItem, FlagsItemKind, Group, GroupKind, HexLiteralKind,
    Literal, LiteralKind, RepetitionKind, RepetitionRange, Span,
};
use regex_syntax::hir::Hir;
use regex_syntax::hir::translate::Translator;

/// The most that RE2 repeats something.
const REPETITIONS: u32 = 1000;

/// What an expression means.
pub(super) fn parse(text: &str) -> Result<Hir, RegexError> {
    let mut ast = Parser::new().parse(text).map_err(|error| wrong(error.kind(), error.span()))?;
    restrict(&mut ast)?;
    Translator::new().translate(text, &ast).map_err(|error| wrong(error.kind(), error.span()))
}

fn wrong(what: impl std::fmt::Display, span: &Span) -> RegexError {
    RegexError::Syntax { what: what.to_string(), at: span.start.offset }
}

/// Gives every part RE2's meaning, and refuses what has none. As deep as the parser lets expressions nest.
fn restrict(ast: &mut Ast) -> Result<(), RegexError> {
    match ast {
        Ast::Empty(_) | Ast::Dot(_) => Ok(()),
        Ast::Flags(set) => flags(&set.flags),
        Ast::Literal(one) => literal(one),
        Ast::ClassUnicode(class) => unicode(&class.kind, &class.span),
        Ast::ClassPerl(class) => {
            *ast = Ast::ClassBracketed(Box::new(ascii(class)));
            Ok(())
        }
        Ast::ClassBracketed(class) => set(&mut class.kind),
        Ast::Assertion(assertion) => {
            let span = assertion.span;
            match assertion.kind {
                AssertionKind::StartLine
                | AssertionKind::EndLine
                | AssertionKind::StartText
                | AssertionKind::EndText => {}
                AssertionKind::WordBoundary | AssertionKind::NotWordBoundary => {
                    let inner = std::mem::replace(ast, Ast::empty(span));
                    *ast = without_unicode(inner, span);
                }
                AssertionKind::WordBoundaryStart
                | AssertionKind::WordBoundaryEnd
                | AssertionKind::WordBoundaryStartAngle
                | AssertionKind::WordBoundaryEndAngle
                | AssertionKind::WordBoundaryStartHalf
                | AssertionKind::WordBoundaryEndHalf => {
                    return Err(wrong("the only word boundaries are \\b and \\B", &span));
                }
            }
            Ok(())
        }
        Ast::Repetition(repetition) => {
            let most = match &repetition.op.kind {
                RepetitionKind::ZeroOrOne | RepetitionKind::ZeroOrMore | RepetitionKind::OneOrMore => 0,
                RepetitionKind::Range(RepetitionRange::Exactly(count) | RepetitionRange::AtLeast(count)) => {
                    *count
                }
                RepetitionKind::Range(RepetitionRange::Bounded(_, most)) => *most,
            };
            if most > REPETITIONS {
                return Err(wrong(format!("repetition counts go up to {REPETITIONS}"), &repetition.op.span));
            }
            restrict(&mut repetition.ast)
        }
        Ast::Group(group) => {
            if let GroupKind::NonCapturing(set) = &group.kind {
                flags(set)?;
            }
            restrict(&mut group.ast)
        }
        Ast::Alternation(alternation) => alternation.asts.iter_mut().try_for_each(restrict),
        Ast::Concat(concat) => concat.asts.iter_mut().try_for_each(restrict),
    }
}

fn flags(flags: &Flags) -> Result<(), RegexError> {
    for item in &flags.items {
        match item.kind {
            FlagsItemKind::Negation
            | FlagsItemKind::Flag(
                Flag::CaseInsensitive | Flag::MultiLine | Flag::DotMatchesNewLine | Flag::SwapGreed,
            ) => {}
            FlagsItemKind::Flag(Flag::Unicode | Flag::CRLF | Flag::IgnoreWhitespace) => {
                return Err(wrong("the only flags are i, m, s and U", &item.span));
            }
        }
    }
    Ok(())
}

fn literal(literal: &Literal) -> Result<(), RegexError> {
    match literal.kind {
        LiteralKind::HexFixed(HexLiteralKind::UnicodeShort | HexLiteralKind::UnicodeLong)
        | LiteralKind::HexBrace(HexLiteralKind::UnicodeShort | HexLiteralKind::UnicodeLong) => {
            Err(wrong("a code point is written \\x{...}", &literal.span))
        }
        _ => Ok(()),
    }
}

fn unicode(kind: &ClassUnicodeKind, span: &Span) -> Result<(), RegexError> {
    match kind {
        ClassUnicodeKind::OneLetter(_) | ClassUnicodeKind::Named(_) => Ok(()),
        ClassUnicodeKind::NamedValue { .. } => {
            Err(wrong("a category or script is written \\p{NAME}, without a key", span))
        }
    }
}

fn set(class: &mut ClassSet) -> Result<(), RegexError> {
    match class {
        ClassSet::Item(one) => item(one),
        ClassSet::BinaryOp(operation) => {
            Err(wrong("classes have no set operations; escape the second &, - or ~", &operation.span))
        }
    }
}

fn item(one: &mut ClassSetItem) -> Result<(), RegexError> {
    match one {
        ClassSetItem::Empty(_) | ClassSetItem::Ascii(_) => Ok(()),
        ClassSetItem::Literal(one) => literal(one),
        ClassSetItem::Range(range) => literal(&range.start).and_then(|()| literal(&range.end)),
        ClassSetItem::Unicode(class) => unicode(&class.kind, &class.span),
        ClassSetItem::Perl(class) => {
            *one = ClassSetItem::Bracketed(Box::new(ascii(class)));
            Ok(())
        }
        ClassSetItem::Bracketed(class) => Err(wrong("classes do not nest; escape the [ inside", &class.span)),
        ClassSetItem::Union(union) => union.items.iter_mut().try_for_each(item),
    }
}

/// `\d`, `\s` and `\w` as RE2 has them. Written as a class, so that it is folded as RE2 folds it where case does not matter.
fn ascii(class: &ClassPerl) -> ClassBracketed {
    let span = class.span;
    let ranges: &[(char, char)] = match class.kind {
        ClassPerlKind::Digit => &[('0', '9')],
        ClassPerlKind::Space => &[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')],
        ClassPerlKind::Word => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
    };
    let character = |c| Literal { span, kind: LiteralKind::Verbatim, c };
    let range = |(start, end)| ClassSetRange { span, start: character(start), end: character(end) };
    let items = ranges.iter().copied().map(range).map(ClassSetItem::Range).collect();
    ClassBracketed { span, negated: class.negated, kind: ClassSet::union(ClassSetUnion { span, items }) }
}

/// `(?-u:…)`
fn without_unicode(ast: Ast, span: Span) -> Ast {
    let items = [FlagsItemKind::Negation, FlagsItemKind::Flag(Flag::Unicode)];
    let items = items.map(|kind| FlagsItem { span, kind }).into();
    let kind = GroupKind::NonCapturing(Flags { span, items });
    Ast::group(Group { span, kind, ast: Box::new(ast) })
}

#[cfg(test)]
mod tests;
