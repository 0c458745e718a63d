//! A small HTTP/1.1 server which says who it is: the other end of a route.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Answers every request with 200 and its name, on connections that stay open. Stops when dropped.
#[derive(Debug)]
pub struct Backend {
    /// Where it listens.
    pub address: SocketAddr,
    served: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Backend {
    /// Starts one on a free port.
    pub fn start(name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (served, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let backend = Self { address, served: Arc::clone(&served), stop: Arc::clone(&stop) };
        let name = name.to_owned();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let (name, served) = (name.clone(), Arc::clone(&served));
                std::thread::spawn(move || serve(stream, &name, &served));
            }
        });
        backend
    }

    /// How many requests it answered.
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the accepting thread so that it sees the flag.
        let _woken = TcpStream::connect(self.address);
    }
}

/// Requests have no body here; their heads come back in `x-seen-*` fields.
fn serve(stream: TcpStream, name: &str, served: &AtomicU64) {
    let Ok(mut out) = stream.try_clone() else { return };
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    loop {
        let Some(first) = lines.next() else { return };
        let mut seen = format!("x-seen-request: {first}\r\n");
        for line in lines.by_ref().take_while(|line| !line.is_empty()) {
            seen.push_str(&format!("x-seen-{line}\r\n"));
        }
        served.fetch_add(1, Ordering::Relaxed);
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{seen}\r\n{name}", name.len());
        if out.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
