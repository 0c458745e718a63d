//! Access logs: where lines go, and what stands in them, in Envoy's format strings.
//!
//! A format is read once, when configuration comes; what it asks of a request is then known without looking at text again. Operators that
//! are not known here are refused by name, since a line without what it promises misleads whoever reads it.

mod filter;
mod operator;

pub use filter::{Comparison, LogFilter};
pub use operator::{AddressPart, GrpcStyle, LogField, LogValue, TimeFormat};
use std::fmt;

/// What is logged of a listener's requests or connections.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct AccessLog {
    /// Where lines go.
    pub output: LogOutput,
    /// What they say.
    pub format: LogFormat,
    /// Which requests have a line; all if absent.
    pub filter: Option<Box<LogFilter>>,
    /// Another log of the same listener.
    pub also: Option<std::sync::Arc<AccessLog>>,
}

impl AccessLog {
    /// This log and the others beside it.
    pub fn all(&self) -> impl Iterator<Item = &AccessLog> {
        std::iter::successors(Some(self), |log| log.also.as_deref())
    }
}

/// Where the lines of an access log go.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum LogOutput {
    /// Standard output.
    #[default]
    Stdout,
    /// Standard error.
    Stderr,
}

/// What a line of an access log says.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub enum LogFormat {
    /// The data plane's own: what it was started with.
    #[default]
    Default,
    /// Text; the line break is part of it.
    Text {
        /// The text.
        template: Template,
        /// What is unknown is left out; else it is `-`.
        omit_empty: bool,
    },
    /// A JSON object, followed by a line break.
    Json {
        /// The object's members, in order of their names.
        members: Vec<(String, JsonTemplate)>,
        /// What is unknown is left out; else it is `null`, and `-` within text.
        omit_empty: bool,
    },
}

/// A value in a JSON line.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum JsonTemplate {
    /// Text with operators. One operator alone keeps its type: a number stays one.
    Text(Template),
    /// An object.
    Object(Vec<(String, JsonTemplate)>),
    /// A list.
    List(Vec<JsonTemplate>),
    /// A number, as JSON writes it.
    Number(String),
    /// True or false.
    Bool(bool),
    /// Null.
    Null,
}

/// Text with operators in it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Template(pub Vec<Piece>);

/// A part of a [`Template`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Piece {
    /// Text, not empty.
    Text(String),
    /// What an operator stands for.
    Value {
        /// Of what.
        value: LogValue,
        /// The most characters of it.
        longest: Option<usize>,
    },
}

/// Why a text is no format.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogFormatError {
    /// The byte at which.
    pub at: usize,
    /// What is wrong, and what to write instead.
    pub message: String,
}

impl fmt::Display for LogFormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {})", self.message, self.at)
    }
}

impl std::error::Error for LogFormatError {}

/// The line Envoy writes if nobody says otherwise.
pub const ENVOY_DEFAULT: &str = concat!(
    r#"[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% "#,
    r#"%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "#,
    r#""%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%""#,
    "\n"
);

impl LogFormat {
    /// The line Envoy writes if nobody says otherwise.
    pub fn envoy_default() -> LogFormat {
        let template = Template::parse(ENVOY_DEFAULT).expect("a format of known operators");
        LogFormat::Text { template, omit_empty: false }
    }

    /// Every operator in it.
    pub fn values(&self) -> Vec<&LogValue> {
        let mut found = Vec::new();
        match self {
            LogFormat::Default => {}
            LogFormat::Text { template, .. } => found.extend(template.values()),
            LogFormat::Json { members, .. } => {
                members.iter().for_each(|(_, member)| member.collect(&mut found));
            }
        }
        found
    }
}

impl JsonTemplate {
    fn collect<'a>(&'a self, found: &mut Vec<&'a LogValue>) {
        match self {
            JsonTemplate::Text(template) => found.extend(template.values()),
            JsonTemplate::Object(members) => members.iter().for_each(|(_, member)| member.collect(found)),
            JsonTemplate::List(items) => items.iter().for_each(|item| item.collect(found)),
            JsonTemplate::Number(_) | JsonTemplate::Bool(_) | JsonTemplate::Null => {}
        }
    }
}

impl Template {
    /// Reads text with operators: `%NAME%`, `%NAME(ARGUMENT)%`, `%NAME(ARGUMENT):LENGTH%`, and `%%` for a percent sign.
    pub fn parse(text: &str) -> Result<Template, LogFormatError> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut at = 0;
        while let Some(found) = text[at..].find('%') {
            plain.push_str(&text[at..at + found]);
            at += found;
            let inner = &text[at + 1..];
            if inner.starts_with('%') {
                plain.push('%');
                at += 2;
                continue;
            }
            let (piece, length) = command(inner).map_err(|message| LogFormatError { at, message })?;
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(piece);
            at += 1 + length;
        }
        plain.push_str(&text[at..]);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Template(pieces))
    }

    /// Every operator in it.
    pub fn values(&self) -> impl Iterator<Item = &LogValue> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Value { value, .. } => Some(value),
            Piece::Text(_) => None,
        })
    }
}

/// The operator at the beginning of a text whose percent sign is already read, and its length with the other percent sign.
fn command(text: &str) -> Result<(Piece, usize), String> {
    let usage = "write %NAME%, %NAME(ARGUMENT)% or %NAME(ARGUMENT):LENGTH%, and %% for a percent sign";
    let is_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let name = &text[..text.bytes().position(|byte| !is_name(byte)).unwrap_or(text.len())];
    let mut rest = &text[name.len()..];
    let mut argument = None;
    if let Some(inner) = rest.strip_prefix('(') {
        let (inside, after) = inner.split_once(')').ok_or_else(|| format!("a ( without its ); {usage}"))?;
        argument = Some(inside);
        rest = after;
    }
    let mut longest = None;
    if let Some(after) = rest.strip_prefix(':') {
        let digits = after.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(after.len());
        let number = after[..digits].parse().map_err(|_| format!("a length that is no number; {usage}"))?;
        longest = Some(number);
        rest = &after[digits..];
    }
    let Some(after) = rest.strip_prefix('%').filter(|_| !name.is_empty()) else {
        return Err(format!("an operator that does not end in %; {usage}"));
    };
    let value = LogValue::parse(name, argument)?;
    Ok((Piece::Value { value, longest }, text.len() - after.len()))
}

/// As it is written.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(&text.replace('%', "%%")),
            Piece::Value { value, longest: None } => write!(f, "%{value}%"),
            Piece::Value { value, longest: Some(longest) } => write!(f, "%{value}:{longest}%"),
        })
    }
}

#[cfg(test)]
mod tests;
