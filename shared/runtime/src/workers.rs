//! One thread and one `LocalRuntime` per worker.
//!
//! A worker's future never leaves its thread, so it may hold `Rc`s and `RefCell`s and needs no lock. Workers are all alike and
//! all needed: a panic in one, in its main future or in any task on it, is reported and aborts the process, since a proxy with
//! a dead worker would go on taking connections it does not serve. (Builds that abort on panic do so anyway; this makes test
//! builds behave the same.)

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::io::{self, Write};
use std::sync::{Arc, Once, mpsc};
use std::thread::JoinHandle;

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};

pub use crate::limits::available_cpus;

/// Which worker: from 0, dense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub usize);

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The running worker threads.
#[derive(Debug)]
pub struct Workers {
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts `n` (at least one) threads called `name-0`, `name-1`, …; each makes its own future with `make`, on its own
    /// thread, and runs it to its end. What is still spawned on the worker then is dropped.
    ///
    /// If a thread or its runtime cannot be made, no future is started at all.
    pub fn start<M, F>(n: usize, name: &str, make: M) -> io::Result<Workers>
    where
        M: Fn(WorkerId) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + 'static,
    {
        abort_on_worker_panic();
        let make = Arc::new(make);
        let (ready, made) = mpsc::sync_channel(n.max(1));
        let mut threads = Vec::new();
        let mut starts = Vec::new();
        for id in (0..n.max(1)).map(WorkerId) {
            let (start, started) = mpsc::sync_channel::<()>(1);
            let (ready, make, label) = (ready.clone(), make.clone(), format!("{name}-{id}"));
            let thread = std::thread::Builder::new().name(label.clone()).spawn(move || {
                WORKER.set(Some(label));
                let runtime = match runtime() {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(ready.send(Err(error))),
                };
                let heard = ready.send(Ok(())).is_ok();
                // `start` waits until every thread has let go of its end.
                drop(ready);
                if heard && started.recv().is_ok() {
                    // The future is made inside the runtime, so that it can register sockets and timers.
                    runtime.block_on(async move { make(id).await });
                }
            })?;
            threads.push(thread);
            starts.push(start);
        }
        drop(ready);
        for result in made {
            result.map_err(|error| {
                io::Error::new(error.kind(), format!("cannot start a worker's runtime: {error}"))
            })?;
        }
        for start in starts {
            // A worker which is gone already has said so above.
            let _ = start.send(());
        }
        Ok(Workers { threads })
    }

    /// How many workers there are.
    pub fn count(&self) -> usize {
        self.threads.len()
    }

    /// Whether every worker's future has ended.
    pub fn is_finished(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Waits until every worker's future has ended. Blocks the thread: in async code wrap it in `spawn_blocking`.
    pub fn join(self) {
        for thread in self.threads {
            // A panic never arrives here, it has aborted the process.
            let _ = thread.join();
        }
    }
}

/// A runtime as the workers have it: current thread, IO and time, tasks need not be `Send`.
pub fn runtime() -> io::Result<LocalRuntime> {
    Builder::new_current_thread().enable_all().build_local(LocalOptions::default())
}

thread_local! {
    static WORKER: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Chains to the panic hook, because tokio would catch a panic in a spawned task and carry on without that task.
fn abort_on_worker_panic() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            previous(info);
            let worker = WORKER.try_with(|name| name.borrow().clone()).ok().flatten();
            if let Some(worker) = worker {
                let what = info.payload_as_str().unwrap_or("no message");
                // Nothing can be done about a closed stderr here.
                let _ = writeln!(io::stderr(), "worker {worker} panicked ({what}); the process ends");
                std::process::abort();
            }
        }));
    });
}

#[cfg(test)]
mod tests;
