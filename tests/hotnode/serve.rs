//! Endpoints: each has so many hands and a queue before them, as servers have threads and a backlog. Who comes when the queue is full is
//! turned away with 503. The time a request takes is half of it constant and half of it exponential, so that short and long ones
//! follow one another without order. The body of each answer is the endpoint's number, of a 503 too.

use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use weir_model::Random;

use crate::{address, head};

/// Connections to one endpoint; each has a thread.
const CONNECTIONS: usize = 2048;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The port of all endpoints.
    #[arg(long)]
    port: u16,
    /// How many endpoints there are.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u8).range(1..=250))]
    endpoints: u8,
    /// How many times as long the last one takes.
    #[arg(long, default_value_t = 10.0)]
    slower: f64,
    /// What a request takes on the average, in microseconds.
    #[arg(long, default_value_t = 10_000)]
    service_us: u32,
    /// Requests that an endpoint works on at a time.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..))]
    hands: u8,
    /// Requests that wait at an endpoint.
    #[arg(long, default_value_t = 64)]
    queue: u16,
}

/// Serves until it is killed.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut accepting = Vec::new();
    for endpoint in 0..args.endpoints {
        let address = address(endpoint, args.port);
        let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
        let slower = if endpoint + 1 == args.endpoints { args.slower } else { 1.0 };
        let mean = f64::from(args.service_us) / 1e6 * slower;
        let (jobs, queue) = sync_channel(usize::from(args.queue));
        let queue = Arc::new(Mutex::new(queue));
        for hand in 0..args.hands {
            let queue = Arc::clone(&queue);
            let random = Random::new(u64::from(endpoint) << 8 | u64::from(hand));
            std::thread::spawn(move || work(endpoint, mean, random, &queue));
        }
        let full: Arc<str> = answer("503 Service Unavailable", endpoint).into();
        accepting.push(std::thread::spawn(move || accept(&listener, &jobs, &full)));
    }
    for thread in accepting {
        thread.join().map_err(|_| anyhow::anyhow!("an endpoint is gone"))?;
    }
    Ok(())
}

/// A request that was read; its answer goes there.
type Job = Arc<TcpStream>;

fn accept(listener: &TcpListener, jobs: &SyncSender<Job>, full: &Arc<str>) {
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming().map_while(Result::ok) {
        if open.fetch_add(1, Relaxed) >= CONNECTIONS {
            open.fetch_sub(1, Relaxed);
            continue;
        }
        let (jobs, open, full) = (jobs.clone(), Arc::clone(&open), Arc::clone(full));
        std::thread::spawn(move || {
            // A connection that breaks is its caller's loss.
            let _broken = read(Arc::new(stream), &jobs, &full);
            open.fetch_sub(1, Relaxed);
        });
    }
}

/// Reads requests without bodies. Callers do not send another one before they have their answer.
fn read(stream: Job, jobs: &SyncSender<Job>, full: &str) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(&*stream);
    while head(&mut reader)?.is_some() {
        if jobs.try_send(Arc::clone(&stream)).is_err() {
            (&*stream).write_all(full.as_bytes())?;
        }
    }
    Ok(())
}

fn answer(status: &str, endpoint: u8) -> String {
    let body = endpoint.to_string();
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// One hand of an endpoint: takes what is first in the queue, takes its time, answers.
fn work(endpoint: u8, mean: f64, mut random: Random, queue: &Mutex<Receiver<Job>>) {
    let answer = answer("200 OK", endpoint);
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(stream) = job else { return };
        let exponential = -(1.0 - random.unit()).ln();
        std::thread::sleep(Duration::from_secs_f64(mean * (0.5 + 0.5 * exponential)));
        // The caller may be gone.
        let _gone = (&*stream).write_all(answer.as_bytes());
    }
}
