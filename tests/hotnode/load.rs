//! An open loop: requests are due at moments that were fixed before (a Poisson process of the given rate, the same for the same seed),
//! whatever became of those before. **Each one's time counts from the moment it was due**, so a proxy that keeps everybody waiting
//! does not make its own load smaller (coordinated omission), and a generator that is late counts against the proxy, never for it.

use std::collections::VecDeque;
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::bail;
use serde_json::{Value, json};
use weir_model::Random;

use crate::head;

/// The longest body that is read.
const BODY: usize = 64 * 1024;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the requests go.
    #[arg(long)]
    target: SocketAddr,
    /// Their `Host`.
    #[arg(long)]
    host: String,
    /// Requests per second.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// How long they are counted.
    #[arg(long)]
    seconds: f64,
    /// How long they are sent before, and not counted.
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// What the moments follow from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Connections at most, each with a thread; beyond them requests wait.
    #[arg(long, default_value_t = 512)]
    connections: usize,
    /// The body of the slow endpoint's answers.
    #[arg(long, default_value = "9")]
    slow: String,
    /// After so many seconds without an answer a request has failed.
    #[arg(long, default_value_t = 10.0)]
    timeout: f64,
}

/// What came of one request that counts.
struct Outcome {
    /// From the moment it was due to the end of the answer.
    took: Duration,
    /// From the moment it was due until somebody took it up.
    late: Duration,
    good: bool,
    slow: bool,
}

/// When a request is due, and whether it counts.
type Due = (Instant, bool);

/// What waits for a connection, and whether more will come. As long as the run is, since an open loop must not be held up.
#[derive(Default)]
struct Queue {
    due: Mutex<(VecDeque<Due>, bool)>,
    more: Condvar,
}

impl Queue {
    fn put(&self, due: Due) {
        self.due.lock().unwrap_or_else(PoisonError::into_inner).0.push_back(due);
        self.more.notify_one();
    }

    fn end(&self) {
        self.due.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
        self.more.notify_all();
    }

    fn take(&self) -> Option<Due> {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match due.0.pop_front() {
                Some(one) => return Some(one),
                None if due.1 => return None,
                None => due = self.more.wait(due).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// Sends, and says what came of it.
pub(crate) fn run(args: &Args) -> anyhow::Result<Value> {
    for (name, seconds) in [("--seconds", args.seconds), ("--warm-up", args.warm_up)] {
        if !(0.0..=3600.0).contains(&seconds) {
            bail!("{name} {seconds}: expected 0 to 3600");
        }
    }
    if !(0.001..=3600.0).contains(&args.timeout) {
        bail!("--timeout {}: expected 0.001 to 3600", args.timeout);
    }
    if !(1..=4096).contains(&args.connections) {
        bail!("--connections {}: expected 1 to 4096", args.connections);
    }
    let request = format!("GET / HTTP/1.1\r\nhost: {}\r\n\r\n", args.host);
    let queue = Arc::<Queue>::default();
    let callers: Vec<_> = (0..args.connections)
        .map(|_| {
            let (queue, request, slow) = (Arc::clone(&queue), request.clone(), args.slow.clone());
            let (target, timeout) = (args.target, Duration::from_secs_f64(args.timeout));
            std::thread::spawn(move || call(target, timeout, &request, &slow, &queue))
        })
        .collect();
    offer(args, &queue);
    let mut outcomes = Vec::new();
    for caller in callers {
        outcomes.extend(caller.join().map_err(|_| anyhow::anyhow!("a caller is gone"))?);
    }
    Ok(summary(outcomes))
}

/// Puts every request into the queue at its moment.
fn offer(args: &Args, queue: &Queue) {
    let mut random = Random::new(args.seed);
    let begin = Instant::now();
    let mut at = 0.0;
    loop {
        at += -(1.0 - random.unit()).ln() / f64::from(args.rate);
        if at >= args.warm_up + args.seconds {
            return queue.end();
        }
        let due = begin + Duration::from_secs_f64(at);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        queue.put((due, at >= args.warm_up));
    }
}

/// One connection after another, for as long as there is something to ask.
fn call(target: SocketAddr, timeout: Duration, request: &str, slow: &str, queue: &Queue) -> Vec<Outcome> {
    let (mut outcomes, mut connection) = (Vec::new(), None);
    while let Some((due, counts)) = queue.take() {
        let late = due.elapsed();
        let answer = ask(&mut connection, target, timeout, request);
        if answer.is_err() {
            connection = None;
        }
        let (good, body) = answer.unwrap_or_default();
        if counts {
            outcomes.push(Outcome { took: due.elapsed(), late, good, slow: body == slow.as_bytes() });
        }
    }
    outcomes
}

/// Whether the answer is a good one, and its body.
fn ask(
    connection: &mut Option<BufReader<TcpStream>>,
    target: SocketAddr,
    timeout: Duration,
    request: &str,
) -> anyhow::Result<(bool, Vec<u8>)> {
    let reader = match connection {
        Some(reader) => reader,
        None => {
            let stream = TcpStream::connect_timeout(&target, timeout)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(timeout))?;
            connection.insert(BufReader::new(stream))
        }
    };
    reader.get_mut().write_all(request.as_bytes())?;
    let Some(lines) = head(reader)? else { bail!("the connection ended") };
    let (mut length, mut closes) = (None, false);
    for (name, value) in lines.iter().skip(1).filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.trim().parse::<usize>()?);
        } else if name.eq_ignore_ascii_case("connection") {
            closes = value.trim().eq_ignore_ascii_case("close");
        }
    }
    let Some(length @ 0..=BODY) = length else { bail!("an answer without a length, or too long") };
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    if closes {
        *connection = None;
    }
    let good =
        lines.first().is_some_and(|line| line.split(' ').nth(1).is_some_and(|code| code.starts_with('2')));
    Ok((good, body))
}

/// Quantiles are those of good answers; what is no good answer counts as failed.
fn summary(outcomes: Vec<Outcome>) -> Value {
    let good: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.good).collect();
    let slow = outcomes.iter().filter(|outcome| outcome.slow).count();
    let mut took: Vec<Duration> = good.iter().map(|outcome| outcome.took).collect();
    let mut late: Vec<Duration> = outcomes.iter().map(|outcome| outcome.late).collect();
    took.sort_unstable();
    late.sort_unstable();
    let at = |sorted: &[Duration], quantile: f64| {
        let rank = (quantile * sorted.len() as f64).ceil() as usize;
        let value = sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default();
        (value.as_secs_f64() * 1e5).round() / 1e2
    };
    json!({
        "sent": outcomes.len(),
        "answered": good.len(),
        "failed": outcomes.len() - good.len(),
        "slow": slow,
        "p50_ms": at(&took, 0.5),
        "p99_ms": at(&took, 0.99),
        "p999_ms": at(&took, 0.999),
        "late_ms": at(&late, 0.99),
    })
}
