//! Where the messages of an HTTP/1 connection begin and end, and whether anybody could read that differently (RFC 9112 section 6).
//!
//! The codec that parses a connection resolves some ambiguities on its own: of a `Content-Length` beside a `Transfer-Encoding`
//! it tells nobody, two equal lengths become one, a lone line feed ends a line. What resolves is safe for us and unsafe for whoever
//! reads the same bytes before us, which is how requests are smuggled. So this follows the raw bytes beside the codec and names
//! the first head that is ambiguous; the request with that number is then refused and its connection ends.
//!
//! It allocates nothing, looks at line ends and the first letter of each line of a head, and skips bodies whole. It does not
//! judge what the codec judges itself: methods, targets, names and values. **Where the two could disagree about a body's end, this
//! gives up, and giving up refuses every later request of the connection.**

/// The longest beginning of a line that is kept from one read to the next: a name of interest and the digits of a length.
const KEPT: usize = 48;

/// Follows one direction of a connection from its first byte on.
#[derive(Clone, Debug)]
pub struct Framing {
    state: State,
    /// Heads that have ended.
    heads: u64,
    /// The line under way as far as earlier reads brought it, cut at its capacity.
    kept: [u8; KEPT],
    kept_length: usize,
    /// Whether that line is longer than what is kept of it.
    cut: bool,
    /// The last byte of the read before.
    last: u8,
    head: Head,
}

/// What is wrong with which head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguity {
    /// The number of the head on its connection, from 0. Every later one is suspect too.
    pub head: u64,
    /// What is wrong with it.
    pub what: &'static str,
    /// Whether it was found in the body of the message before: that one does not end.
    pub in_body: bool,
    /// How many of the bytes that were followed last come before the line it was found in.
    pub before: usize,
}

/// Where in a message the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Before a message.
    Between,
    /// In its head.
    Head,
    /// In its content.
    Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first byte of a head; empty lines may come here (RFC 9112 section 2.2).
    Start,
    /// In a line of a head.
    Head,
    /// So much is left of a body, or of a chunk with its line end.
    Body(u64),
    Chunk(u64),
    /// In the line that says how long the next chunk is.
    Size,
    /// In the lines after the last chunk.
    Trailers,
    /// What comes is not followed any more.
    Over,
}

/// What the head under way says about its body.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    length: Option<u64>,
    lengths: u8,
    codings: u8,
    fault: Option<&'static str>,
}

impl Default for Framing {
    fn default() -> Framing {
        Framing::new()
    }
}

impl Framing {
    /// Before the first byte.
    pub fn new() -> Framing {
        Framing {
            state: State::Start,
            heads: 0,
            kept: [0; KEPT],
            kept_length: 0,
            cut: false,
            last: 0,
            head: Head::default(),
        }
    }

    /// Where the next byte belongs.
    pub fn place(&self) -> Place {
        match self.state {
            State::Start => Place::Between,
            State::Head => Place::Head,
            State::Body(_) | State::Chunk(_) | State::Size | State::Trailers => Place::Body,
            State::Over => Place::Between,
        }
    }

    /// Follows these bytes. Tells the first ambiguity, once; nothing is followed after it.
    pub fn advance(&mut self, mut bytes: &[u8]) -> Option<Ambiguity> {
        let all = bytes.len();
        while let Some(first) = bytes.first() {
            match self.state {
                State::Start => match first {
                    b'\r' | b'\n' => bytes = &bytes[1..],
                    _ => {
                        self.head = Head::default();
                        self.state = State::Head;
                    }
                },
                State::Body(left) | State::Chunk(left) => bytes = self.skip(left, bytes),
                State::Head | State::Size | State::Trailers => match memchr::memchr(b'\n', bytes) {
                    Some(end) => {
                        let (line, rest) = bytes.split_at(end);
                        let in_body = self.state != State::Head;
                        if let Err(what) = self.line(line) {
                            self.state = State::Over;
                            let before = all - bytes.len();
                            return Some(Ambiguity { head: self.heads, what, in_body, before });
                        }
                        bytes = &rest[1..];
                    }
                    None => {
                        self.keep(bytes);
                        return None;
                    }
                },
                State::Over => return None,
            }
        }
        None
    }

    fn skip<'a>(&mut self, left: u64, bytes: &'a [u8]) -> &'a [u8] {
        let taken = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let rest = left - taken as u64;
        self.state = match (self.state, rest) {
            (State::Chunk(_), 0) => State::Size,
            (State::Chunk(_), rest) => State::Chunk(rest),
            (_, 0) => State::Start,
            (_, rest) => State::Body(rest),
        };
        &bytes[taken..]
    }

    /// A line without its line feed; what earlier reads brought of it is kept.
    fn line(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let ends_in = line.last().copied().unwrap_or(self.last);
        let started_before = self.kept_length > 0;
        if ends_in != b'\r' || (line.is_empty() && !started_before) {
            return Err("a line ends without a carriage return");
        }
        if !started_before {
            // As much of it as would be kept: what is said must not depend on how the bytes come.
            let cut = line.len() > KEPT;
            let length = if cut { KEPT } else { line.len() - 1 };
            return self.whole(&line[..length], cut);
        }
        self.keep(line);
        let (kept, cut) = (self.kept, self.cut);
        let length = self.kept_length - usize::from(!cut);
        (self.kept_length, self.cut) = (0, false);
        self.whole(&kept[..length], cut)
    }

    /// A line without its end; `cut` if it is longer than that.
    fn whole(&mut self, line: &[u8], cut: bool) -> Result<(), &'static str> {
        match self.state {
            State::Head if line.is_empty() => self.end_of_head(),
            State::Head => {
                self.field(line, cut);
                Ok(())
            }
            State::Size => {
                let size = chunk_size(line).ok_or("a chunk has no length")?;
                // With the line end after it.
                self.state = match size {
                    0 => State::Trailers,
                    size => State::Chunk(size.checked_add(2).ok_or("a chunk is too long")?),
                };
                Ok(())
            }
            State::Trailers => {
                if line.is_empty() {
                    self.state = State::Start;
                }
                Ok(())
            }
            State::Start | State::Body(_) | State::Chunk(_) | State::Over => Ok(()),
        }
    }

    fn field(&mut self, line: &[u8], cut: bool) {
        // Few fields begin so: most lines end here.
        let name = match line.first() {
            Some(b'c' | b'C') => &b"content-length"[..],
            Some(b't' | b'T') => &b"transfer-encoding"[..],
            _ => return,
        };
        let Some((found, rest)) = line.split_at_checked(name.len()) else { return };
        if !found.eq_ignore_ascii_case(name) {
            return;
        }
        match rest.first() {
            Some(b':') if name.len() == 14 => {
                self.head.lengths = self.head.lengths.saturating_add(1);
                self.head.length = if cut { None } else { digits(rest[1..].trim_ascii()) };
                if self.head.length.is_none() {
                    self.head.fault = Some("Content-Length is not a number");
                }
            }
            Some(b':') => {
                self.head.codings = self.head.codings.saturating_add(1);
                if cut || !rest[1..].trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    self.head.fault = Some("a Transfer-Encoding other than chunked");
                }
            }
            // Another name, or one that the codec refuses.
            _ => {}
        }
    }

    fn end_of_head(&mut self) -> Result<(), &'static str> {
        let Head { length, lengths, codings, fault } = self.head;
        match (lengths, codings) {
            (2.., _) => return Err("several Content-Length fields"),
            (1, 1..) => return Err("Content-Length and Transfer-Encoding"),
            (_, 2..) => return Err("several Transfer-Encoding fields"),
            _ => {}
        }
        if let Some(fault) = fault {
            return Err(fault);
        }
        self.heads += 1;
        self.state = match (length, codings) {
            (None | Some(0), 0) => State::Start,
            (Some(length), _) => State::Body(length),
            (None, _) => State::Size,
        };
        Ok(())
    }

    /// Keeps the beginning of a line whose end is still to come.
    fn keep(&mut self, bytes: &[u8]) {
        let room = &mut self.kept[self.kept_length..];
        let taken = room.len().min(bytes.len());
        room[..taken].copy_from_slice(&bytes[..taken]);
        self.kept_length += taken;
        self.cut |= taken < bytes.len();
        self.last = bytes.last().copied().unwrap_or(self.last);
    }
}

/// The length a chunk's line says; extensions do not matter.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let end = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    let after = line[end..].first();
    if end == 0 || end > 16 || !matches!(after, None | Some(b';' | b' ' | b'\t')) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(&line[..end]).ok()?, 16).ok()
}

fn digits(value: &[u8]) -> Option<u64> {
    let all = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| all)?.parse().ok()
}

#[cfg(test)]
mod tests;
