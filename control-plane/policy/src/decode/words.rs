//! Words for people: what was found, what was probably meant.

use serde_json::Value;

/// How much of a value a message repeats, in characters.
const EXCERPT: usize = 60;

/// A value as a message shows it: short, and in one line.
pub(crate) fn excerpt(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) if text.chars().nth(EXCERPT).is_none() => format!("{text:?}"),
        Value::String(text) => format!("{:?} …", text.chars().take(EXCERPT).collect::<String>()),
        Value::Array(elements) if elements.is_empty() => "an empty list".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(fields) if fields.is_empty() => "an empty object".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// `a, b and c`.
pub(crate) fn list(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// The word that was probably meant: the same in another case, or at most two slips away.
pub(crate) fn suggestion<'w>(written: &str, words: &[&'w str]) -> Option<&'w str> {
    if written.len() > 64 {
        return None;
    }
    let written = written.to_lowercase();
    let near = words.iter().map(|word| (distance(&written, &word.to_lowercase()), *word));
    let bound = if written.chars().count() <= 4 { 1 } else { 2 };
    near.filter(|(distance, _)| *distance <= bound)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Insertions, deletions, replacements and swaps of neighbours between two words (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}
