//! The far end of a cluster: it notes every request exactly as it came, and answers as the request asks it to.
//!
//! Commands stand in the request header `x-echo`, separated by `;`:
//! `status=N`, `delay=MILLIS`, `header=NAME:VALUE`, `body=TEXT`, `chunked`, `trailer=NAME:VALUE` (with `chunked`), `close` (no answer),
//! `drip=MILLIS` (so long between the halves of the body), `cut` (half an answer), `until-close` (no length), `times=N` (the status and the delay only for the first N requests with this `x-key`).

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::request::Seen;

/// The request header with the commands.
pub(crate) const COMMANDS: &str = "x-echo";

/// What the backends of one data plane received since it was last asked.
pub(crate) type Notes = Arc<Mutex<Vec<Seen>>>;

/// What a request asks a backend to do.
#[derive(Clone, Debug)]
struct Reply {
    status: u16,
    delay: Duration,
    drip: Duration,
    headers: Vec<(String, String)>,
    body: String,
    chunked: bool,
    trailers: Vec<(String, String)>,
    close: bool,
    cut: bool,
    until_close: bool,
}

impl Reply {
    fn of(seen: &Seen, times: &Mutex<BTreeMap<String, u32>>) -> Self {
        let header = |name: &str| {
            let found = seen.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map_or("", |(_, value)| value.as_str())
        };
        let mut reply = Reply {
            status: 200,
            delay: Duration::ZERO,
            drip: Duration::ZERO,
            headers: vec![],
            body: format!("{}\n", seen.backend),
            chunked: false,
            trailers: vec![],
            close: false,
            cut: false,
            until_close: false,
        };
        let pair = |text: &str| {
            let (name, value) = text.split_once(':').unwrap_or((text, ""));
            (name.to_owned(), value.to_owned())
        };
        for command in header(COMMANDS).split(';').map(str::trim).filter(|command| !command.is_empty()) {
            match command.split_once('=').unwrap_or((command, "")) {
                ("status", value) => reply.status = value.parse().unwrap(),
                ("delay", value) => reply.delay = Duration::from_millis(value.parse().unwrap()),
                ("drip", value) => reply.drip = Duration::from_millis(value.parse().unwrap()),
                ("header", value) => reply.headers.push(pair(value)),
                ("trailer", value) => reply.trailers.push(pair(value)),
                ("body", value) => reply.body = value.to_owned(),
                ("chunked", _) => reply.chunked = true,
                ("close", _) => reply.close = true,
                ("cut", _) => reply.cut = true,
                ("until-close", _) => reply.until_close = true,
                ("times", value) => {
                    let mut times = times.lock().unwrap();
                    let count = times.entry(header("x-key").to_owned()).or_default();
                    *count += 1;
                    if *count > value.parse().unwrap() {
                        reply.status = 200;
                        reply.delay = Duration::ZERO;
                        reply.close = false;
                    }
                }
                (other, _) => panic!("a backend knows no command {other:?}"),
            }
        }
        reply
    }
}

/// An HTTP/1.1 backend on a free port, for as long as the test runs.
pub(crate) fn http1(name: &'static str, notes: &Notes) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (notes, times) = (notes.clone(), Arc::new(Mutex::default()));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (notes, times) = (notes.clone(), Arc::clone(&times));
            std::thread::spawn(move || serve(stream, name, &notes, &times));
        }
    });
    address
}

fn serve(stream: TcpStream, name: &str, notes: &Notes, times: &Mutex<BTreeMap<String, u32>>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut out = stream.try_clone().ok()?;
    let mut input = BufReader::new(stream);
    loop {
        let seen = read(&mut input, name)?;
        let reply = Reply::of(&seen, times);
        let head = seen.method == "HEAD";
        notes.lock().unwrap().push(seen);
        std::thread::sleep(reply.delay);
        if reply.close {
            return None;
        }
        let mut text = format!("HTTP/1.1 {} Said\r\nx-backend: {name}\r\n", reply.status);
        for (name, value) in &reply.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        let bodiless = matches!(reply.status, 100..200 | 204 | 304);
        if bodiless {
            text.push_str("\r\n");
        } else if reply.chunked {
            text.push_str("transfer-encoding: chunked\r\n\r\n");
            if !head {
                text.push_str(&format!("{:x}\r\n{}\r\n0\r\n", reply.body.len(), reply.body));
                for (name, value) in &reply.trailers {
                    text.push_str(&format!("{name}: {value}\r\n"));
                }
                text.push_str("\r\n");
            }
        } else {
            match reply.until_close {
                true => text.push_str("connection: close\r\n\r\n"),
                false => text.push_str(&format!("content-length: {}\r\n\r\n", reply.body.len())),
            }
            if !head {
                text.push_str(&reply.body);
            }
        }
        if reply.cut {
            text.truncate(text.len() - 2);
        }
        if !reply.drip.is_zero() {
            let rest = text.split_off(text.len() - reply.body.len() / 2);
            out.write_all(text.as_bytes()).ok()?;
            std::thread::sleep(reply.drip);
            text = rest;
        }
        out.write_all(text.as_bytes()).ok()?;
        if reply.cut {
            // What came before is passed on before it breaks.
            std::thread::sleep(Duration::from_millis(100));
        }
        if reply.cut || reply.until_close {
            return None;
        }
    }
}

fn line(input: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    input.read_until(b'\n', &mut line).ok()?;
    let line = String::from_utf8_lossy(line.strip_suffix(b"\n")?).into_owned();
    Some(line.strip_suffix('\r').map_or(line.clone(), str::to_owned))
}

fn fields(input: &mut impl BufRead) -> Option<Vec<(String, String)>> {
    let mut fields = Vec::new();
    loop {
        let line = line(input)?;
        if line.is_empty() {
            return Some(fields);
        }
        let (name, value) = line.split_once(':')?;
        fields.push((name.to_owned(), value.trim().to_owned()));
    }
}

fn read(input: &mut impl BufRead, name: &str) -> Option<Seen> {
    let first = line(input)?;
    let mut parts = first.splitn(3, ' ');
    let mut seen = Seen {
        backend: name.to_owned(),
        method: parts.next()?.to_owned(),
        target: parts.next()?.to_owned(),
        version: parts.next()?.to_owned(),
        headers: fields(input)?,
        ..Seen::default()
    };
    let header = |name: &str| {
        let found = seen.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    };
    let mut body = Vec::new();
    if header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        loop {
            let size = usize::from_str_radix(line(input)?.split(';').next()?, 16).ok()?;
            if size == 0 {
                seen.trailers = fields(input)?;
                break;
            }
            let start = body.len();
            body.resize(start + size, 0);
            input.read_exact(&mut body[start..]).ok()?;
            line(input)?;
        }
    } else if let Some(length) = header("content-length") {
        body.resize(length.parse().ok()?, 0);
        input.read_exact(&mut body).ok()?;
    }
    seen.body = String::from_utf8_lossy(&body).into_owned();
    Some(seen)
}

/// An HTTP/2 backend (prior knowledge) on a free port, for as long as the test runs.
pub(crate) fn http2(name: &'static str, notes: &Notes) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let (notes, times) = (notes.clone(), Arc::new(Mutex::default()));
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let (notes, times) = (notes.clone(), Arc::clone(&times));
                tokio::spawn(async move {
                    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        let (notes, times) = (notes.clone(), Arc::clone(&times));
                        tokio::spawn(async move { stream_of(name, request, respond, &notes, &times).await });
                    }
                });
            }
        });
    });
    address
}

async fn stream_of(
    name: &str,
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<bytes::Bytes>,
    notes: &Notes,
    times: &Mutex<BTreeMap<String, u32>>,
) -> Option<()> {
    let (head, mut stream) = request.into_parts();
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data.ok()?;
        stream.flow_control().release_capacity(data.len()).ok()?;
        body.extend_from_slice(&data);
    }
    let trailers = stream.trailers().await.ok()?;
    let mut headers = vec![];
    if let Some(authority) = head.uri.authority() {
        headers.push(("host".to_owned(), authority.to_string()));
    }
    headers.extend(listed(&head.headers));
    let seen = Seen {
        backend: name.to_owned(),
        version: "HTTP/2".to_owned(),
        method: head.method.to_string(),
        target: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
        trailers: trailers.map(|trailers| listed(&trailers)).unwrap_or_default(),
    };
    let reply = Reply::of(&seen, times);
    let head = seen.method == "HEAD";
    notes.lock().unwrap().push(seen);
    tokio::time::sleep(reply.delay).await;
    if reply.close {
        respond.send_reset(h2::Reason::INTERNAL_ERROR);
        return None;
    }
    let mut response = http::Response::builder().status(reply.status).header("x-backend", name);
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    let bodiless = head || matches!(reply.status, 100..200 | 204 | 304);
    if !reply.chunked && !matches!(reply.status, 204 | 304) {
        response = response.header("content-length", reply.body.len());
    }
    let mut out = respond.send_response(response.body(()).ok()?, bodiless).ok()?;
    if !bodiless {
        let ended = reply.trailers.is_empty();
        out.send_data(reply.body.into_bytes().into(), ended).ok()?;
        if !ended {
            let mut trailers = http::HeaderMap::new();
            for (name, value) in &reply.trailers {
                trailers.append(http::HeaderName::try_from(name).ok()?, value.parse().ok()?);
            }
            out.send_trailers(trailers).ok()?;
        }
    }
    Some(())
}

/// The fields of a map, in order.
pub(crate) fn listed(headers: &http::HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}
