//! What the operating system allows this process: processors and open files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How many workers this process can keep busy: the processors of its affinity mask, further limited by a CPU quota of its
/// control group (version 1 or 2; a pod's CPU limit), rounded down, at least one.
///
/// Rounded down because a worker beyond the quota is stopped by the kernel for the rest of each period, in the middle of
/// requests.
pub fn available_cpus() -> usize {
    // The standard library reads affinity and both control group versions up the whole hierarchy.
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Raises the soft limit of open files to the hard limit and returns the limit in force (`None`: unlimited).
///
/// Many systems start processes with a soft limit of 1024, left low for programs that use `select(2)`. A proxy needs two
/// descriptors per connection pair. Failure is not an error: the limit stays as it is.
pub fn raise_open_files() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return limit.current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

#[cfg(test)]
mod tests;
