//! Requests in few words, and what comes of them.

use std::fmt;
use std::time::Duration;

/// What a caller sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Request {
    pub(crate) version: Version,
    pub(crate) method: String,
    /// As it stands in the request line, or in `:path`.
    pub(crate) target: String,
    /// `Host`, or `:authority`.
    pub(crate) host: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Payload,
    /// How long it waits before each chunk.
    pub(crate) pause: Duration,
    /// On a connection of its own, which is closed afterwards.
    pub(crate) alone: bool,
    /// Which request of the run it is: the log line is found by it.
    pub(crate) number: usize,
}

/// The header with a request's number.
pub(crate) const NUMBER: &str = "x-case";

/// What is spoken to the proxy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Version {
    Http1,
    Http2,
}

/// A request's body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Payload {
    None,
    /// With `content-length`.
    Sized(String),
    /// `transfer-encoding: chunked` with these chunks, and trailers after them.
    Chunked(Vec<String>, Vec<(String, String)>),
}

/// A `GET` of this target.
pub(crate) fn get(target: &str) -> Request {
    call("GET", target)
}

/// A `POST` with a body.
pub(crate) fn post(target: &str, body: &str) -> Request {
    Request { body: Payload::Sized(body.to_owned()), ..call("POST", target) }
}

/// Any method.
pub(crate) fn call(method: &str, target: &str) -> Request {
    Request {
        version: Version::Http1,
        method: method.to_owned(),
        target: target.to_owned(),
        host: "svc.test".to_owned(),
        headers: vec![],
        body: Payload::None,
        pause: Duration::ZERO,
        alone: false,
        number: 0,
    }
}

impl Request {
    pub(crate) fn host(mut self, host: &str) -> Self {
        self.host = host.to_owned();
        self
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn chunks(mut self, chunks: &[&str]) -> Self {
        self.body = Payload::Chunked(chunks.iter().map(|chunk| (*chunk).to_owned()).collect(), vec![]);
        self
    }

    /// Waits so many milliseconds before each chunk.
    pub(crate) fn slowly(mut self, millis: u64) -> Self {
        self.pause = Duration::from_millis(millis);
        self
    }

    pub(crate) fn trailer(mut self, name: &str, value: &str) -> Self {
        if let Payload::Chunked(_, trailers) = &mut self.body {
            trailers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// What the backend is to do, see [`crate::backend`].
    pub(crate) fn echo(self, commands: &str) -> Self {
        self.with(crate::backend::COMMANDS, commands)
    }

    pub(crate) fn http2(mut self) -> Self {
        self.version = Version::Http2;
        self
    }

    /// On a connection of its own.
    pub(crate) fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// Its header fields, the number among them.
    pub(crate) fn fields(&self) -> Vec<(String, String)> {
        let mut fields = self.headers.clone();
        fields.push((NUMBER.to_owned(), self.number.to_string()));
        fields
    }

    /// The bytes of it in HTTP/1.1, in as many parts as are to be sent apart from each other.
    pub(crate) fn parts(&self) -> Vec<Vec<u8>> {
        let mut parts = Vec::new();
        let mut text = format!("{} {} HTTP/1.1\r\nhost: {}\r\n", self.method, self.target, self.host);
        for (name, value) in &self.fields() {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        match &self.body {
            Payload::None => text.push_str("\r\n"),
            Payload::Sized(body) => {
                text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
            }
            Payload::Chunked(chunks, trailers) => {
                text.push_str("transfer-encoding: chunked\r\n\r\n");
                for chunk in chunks {
                    if !self.pause.is_zero() {
                        parts.push(std::mem::take(&mut text).into_bytes());
                    }
                    text.push_str(&format!("{:x}\r\n{chunk}\r\n", chunk.len()));
                }
                text.push_str("0\r\n");
                for (name, value) in trailers {
                    text.push_str(&format!("{name}: {value}\r\n"));
                }
                text.push_str("\r\n");
            }
        }
        parts.push(text.into_bytes());
        parts
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = match self.version {
            Version::Http1 => "HTTP/1.1",
            Version::Http2 => "HTTP/2",
        };
        write!(f, "{version} {} {} host={:?}", self.method, self.target, self.host)?;
        for (name, value) in &self.headers {
            write!(f, " {name}={value:?}")?;
        }
        match &self.body {
            Payload::None => Ok(()),
            body => write!(f, " {body:?}"),
        }
    }
}

/// What a caller gets back.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Answer {
    /// Statuses of interim responses.
    pub(crate) interim: Vec<u16>,
    /// 0 if there was none.
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) trailers: Vec<(String, String)>,
    /// How it ended, if not well.
    pub(crate) broken: Option<String>,
}

/// What a backend received.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) backend: String,
    pub(crate) version: String,
    pub(crate) method: String,
    pub(crate) target: String,
    /// With `host`, also where it came as `:authority`.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) trailers: Vec<(String, String)>,
}

/// What the access log says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Logged {
    pub(crate) status: String,
    pub(crate) flags: String,
    pub(crate) route: String,
    pub(crate) cluster: String,
}

/// All that came of one request to one data plane.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) answer: Answer,
    /// One for each attempt that reached a backend.
    pub(crate) seen: Vec<Seen>,
    pub(crate) logged: Option<Logged>,
}
