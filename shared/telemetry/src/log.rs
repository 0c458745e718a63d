//! What our own programs say, on stderr.
//!
//! Text on a terminal or for a person, JSON where `WEIR_LOG_FORMAT=json`; how much, by `WEIR_LOG` (`info`, or
//! `weir_config=debug,info`). Requests are not logged here; that is [`crate::access_log`].

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// `WEIR_LOG` is not a list of directives.
    #[error(
        "WEIR_LOG={value:?}: {error}; write a level (error, warn, info, debug, trace) or a list such as weir_config=debug,info"
    )]
    Level {
        /// What was given.
        value: String,
        /// What is wrong with it.
        error: ParseError,
    },
    /// `WEIR_LOG_FORMAT` is unknown.
    #[error("WEIR_LOG_FORMAT={0:?}: there is no such format; use text or json")]
    Format(String),
    /// Something else logs already.
    #[error("logging is set up already: {0}")]
    Twice(String),
}

/// Sets up logging for the process. `default` is the level in force if `WEIR_LOG` is not set.
pub fn init(default: &str) -> Result<(), LogError> {
    let settings = Settings::read(|name| std::env::var(name).ok(), default, std::io::stderr().is_terminal())?;
    let twice = |error: tracing::subscriber::SetGlobalDefaultError| LogError::Twice(error.to_string());
    tracing::subscriber::set_global_default(settings.subscriber(std::io::stderr)).map_err(twice)
}

#[derive(Debug)]
struct Settings {
    filter: EnvFilter,
    json: bool,
    colour: bool,
}

impl Settings {
    fn read(
        var: impl Fn(&str) -> Option<String>,
        default: &str,
        terminal: bool,
    ) -> Result<Settings, LogError> {
        let set = |name: &str| var(name).filter(|value| !value.trim().is_empty());
        let value = set("WEIR_LOG").unwrap_or_else(|| default.to_owned());
        let filter = EnvFilter::builder().parse(&value).map_err(|error| LogError::Level { value, error })?;
        let json = match set("WEIR_LOG_FORMAT").as_deref() {
            None | Some("text") => false,
            Some("json") => true,
            Some(other) => return Err(LogError::Format(other.to_owned())),
        };
        Ok(Settings { filter, json, colour: terminal && set("NO_COLOR").is_none() })
    }

    fn subscriber<W>(self, writer: W) -> Box<dyn tracing::Subscriber + Send + Sync>
    where
        W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
    {
        let base = tracing_subscriber::fmt().with_env_filter(self.filter).with_writer(writer);
        if self.json {
            Box::new(base.json().flatten_event(true).finish())
        } else {
            Box::new(base.with_ansi(self.colour).finish())
        }
    }
}

#[cfg(test)]
mod tests;
