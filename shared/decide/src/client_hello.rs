//! Which server a TLS client asks for, and which protocols it offers: the beginning of its ClientHello, read without taking part in the
//! handshake (RFC 8446 section 4.1.2, RFC 6066 section 3, RFC 7301 section 3.1).
//!
//! For routing TLS that passes through. It takes bytes as they come, across records and in pieces of any size, and holds at most
//! [`limits::CLIENT_HELLO_BYTES`]. It does not judge whether the handshake would succeed, and it decrypts nothing: of a hello that is encrypted
//! (ECH) it sees the outer name.

use weir_model::limits;

/// What a client asks for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClientHello {
    /// The name, in lower case and without a trailing dot; absent if the client names none.
    pub server_name: Option<String>,
    /// The protocols it offers, the preferred first, such as `h2`.
    pub alpn: Vec<Vec<u8>>,
}

/// Why bytes are not the beginning of TLS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HelloError {
    /// They are something else.
    NotTls,
    /// They begin like TLS, and this is wrong with them.
    Malformed(&'static str),
    /// The ClientHello is larger than [`limits::CLIENT_HELLO_BYTES`].
    TooLarge,
}

impl std::fmt::Display for HelloError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotTls => f.write_str("not TLS"),
            Self::Malformed(what) => write!(f, "malformed ClientHello: {what}"),
            Self::TooLarge => {
                write!(f, "a ClientHello of more than {} bytes", limits::CLIENT_HELLO_BYTES)
            }
        }
    }
}

impl std::error::Error for HelloError {}

/// The content type of records that carry a handshake.
const HANDSHAKE: u8 = 22;
/// The type of the handshake message.
const CLIENT_HELLO: u8 = 1;
const RECORD_HEAD: usize = 5;
const MESSAGE_HEAD: usize = 4;
/// The largest plaintext of a record (RFC 8446 section 5.1).
const RECORD: usize = 1 << 14;
const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;

/// Reads a ClientHello from the first bytes of a connection.
#[derive(Clone, Debug, Default)]
pub struct HelloReader {
    /// The head of the record that is being read, as far as it has come.
    head: [u8; RECORD_HEAD],
    in_head: usize,
    /// Bytes of that record that are still to come.
    left: usize,
    /// The handshake message so far.
    message: Vec<u8>,
}

impl HelloReader {
    /// Takes the next bytes of the connection. `None` until there are enough of them; after an answer or an error there is nothing more to ask.
    pub fn receive(&mut self, mut bytes: &[u8]) -> Result<Option<ClientHello>, HelloError> {
        while !bytes.is_empty() {
            if self.left == 0 {
                let taken = bytes.len().min(RECORD_HEAD - self.in_head);
                self.head[self.in_head..self.in_head + taken].copy_from_slice(&bytes[..taken]);
                self.in_head += taken;
                bytes = &bytes[taken..];
                self.check_head()?;
                continue;
            }
            let wanted = self.length()?.unwrap_or(MESSAGE_HEAD) - self.message.len();
            let taken = bytes.len().min(self.left).min(wanted);
            self.message.extend_from_slice(&bytes[..taken]);
            self.left -= taken;
            bytes = &bytes[taken..];
            if self.length()? == Some(self.message.len()) {
                return parse(&self.message[MESSAGE_HEAD..]).map(Some);
            }
        }
        Ok(None)
    }

    /// Judges a record's head as early as possible, and begins the record when it is complete.
    fn check_head(&mut self) -> Result<(), HelloError> {
        let first = self.message.is_empty();
        let [kind, major, _minor, high, low] = self.head;
        let other = if first { HelloError::NotTls } else { HelloError::Malformed("another kind of record") };
        if kind != HANDSHAKE || (self.in_head > 1 && major != 3) {
            return Err(other);
        }
        if self.in_head < RECORD_HEAD {
            return Ok(());
        }
        self.left = usize::from(u16::from_be_bytes([high, low]));
        self.in_head = 0;
        match self.left {
            // A handshake record is never empty (RFC 8446 section 5.1), so every record brings the end nearer.
            0 => Err(HelloError::Malformed("an empty record")),
            1..=RECORD => Ok(()),
            _ => Err(HelloError::Malformed("a record that is too long")),
        }
    }

    /// The length of the whole message, as soon as it says it.
    fn length(&self) -> Result<Option<usize>, HelloError> {
        match *self.message.as_slice() {
            [kind, ..] if kind != CLIENT_HELLO => Err(HelloError::Malformed("another message comes first")),
            [_, high, middle, low, ..] => {
                let length = u32::from_be_bytes([0, high, middle, low]) as usize + MESSAGE_HEAD;
                if length > limits::CLIENT_HELLO_BYTES { Err(HelloError::TooLarge) } else { Ok(Some(length)) }
            }
            _ => Ok(None),
        }
    }
}

/// The body of a ClientHello.
fn parse(body: &[u8]) -> Result<ClientHello, HelloError> {
    let mut body = Fields(body);
    let _version_and_random = body.take(2 + 32)?;
    if body.vector8()?.0.len() > 32 {
        return Err(HelloError::Malformed("a session id of more than 32 bytes"));
    }
    let suites = body.vector16()?.0.len();
    if suites == 0 || suites % 2 != 0 {
        return Err(HelloError::Malformed("no list of cipher suites"));
    }
    if body.vector8()?.0.is_empty() {
        return Err(HelloError::Malformed("no compression methods"));
    }
    let mut hello = ClientHello::default();
    // Before TLS 1.3 a hello may end here.
    if body.0.is_empty() {
        return Ok(hello);
    }
    let mut extensions = body.vector16()?;
    if !body.0.is_empty() {
        return Err(HelloError::Malformed("bytes after the extensions"));
    }
    let (mut named, mut offered) = (false, false);
    while !extensions.0.is_empty() {
        let kind = extensions.u16()?;
        let content = extensions.vector16()?;
        match kind {
            SERVER_NAME if std::mem::replace(&mut named, true) => {
                return Err(HelloError::Malformed("two server_name extensions"));
            }
            SERVER_NAME => hello.server_name = server_name(content)?,
            ALPN if std::mem::replace(&mut offered, true) => {
                return Err(HelloError::Malformed("two ALPN extensions"));
            }
            ALPN => hello.alpn = alpn(content)?,
            _ => {}
        }
    }
    Ok(hello)
}

fn server_name(mut content: Fields<'_>) -> Result<Option<String>, HelloError> {
    let mut list = content.vector16()?;
    if !content.0.is_empty() || list.0.is_empty() {
        return Err(HelloError::Malformed("no list of server names"));
    }
    let mut found = None;
    while !list.0.is_empty() {
        let kind = list.take(1)?;
        let name = list.vector16()?.0;
        // Other kinds of names were never defined, and have the same shape.
        if kind == [0] && found.replace(host_name(name)?).is_some() {
            return Err(HelloError::Malformed("two host names"));
        }
    }
    Ok(found)
}

/// A DNS name as RFC 6066 has it. Underscores, which hosts in the wild have, are let through.
fn host_name(name: &[u8]) -> Result<String, HelloError> {
    let name = name.strip_suffix(b".").unwrap_or(name);
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let label = |label: &[u8]| (1..=63).contains(&label.len()) && label.iter().all(good);
    if name.len() > 253 || !name.split(|byte| *byte == b'.').all(label) {
        return Err(HelloError::Malformed("a server name that is no DNS name"));
    }
    Ok(name.iter().map(|byte| char::from(byte.to_ascii_lowercase())).collect())
}

fn alpn(mut content: Fields<'_>) -> Result<Vec<Vec<u8>>, HelloError> {
    let mut list = content.vector16()?;
    if !content.0.is_empty() || list.0.is_empty() {
        return Err(HelloError::Malformed("no list of protocols"));
    }
    let mut protocols = Vec::new();
    while !list.0.is_empty() {
        let protocol = list.vector8()?.0;
        if protocol.is_empty() {
            return Err(HelloError::Malformed("a protocol without a name"));
        }
        protocols.push(protocol.to_vec());
    }
    Ok(protocols)
}

/// What is left of a structure.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], HelloError> {
        let short = HelloError::Malformed("a length that leads beyond its end");
        let (taken, rest) = self.0.split_at_checked(count).ok_or(short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, HelloError> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// A vector whose length is one byte.
    fn vector8(&mut self) -> Result<Fields<'a>, HelloError> {
        let length = usize::from(self.take(1)?[0]);
        self.take(length).map(Fields)
    }

    /// A vector whose length is two bytes.
    fn vector16(&mut self) -> Result<Fields<'a>, HelloError> {
        let length = usize::from(self.u16()?);
        self.take(length).map(Fields)
    }
}

#[cfg(test)]
mod tests;
