//! The effects: everything weir does to the world outside its memory starts here.
//!
//! This is the only crate that opens sockets, starts worker threads and reads clocks; the crates above it get time, chance
//! and connections as values. In the order a process uses them:
//!
//! - [`limits`]: the process asks for the file descriptors it is allowed to have;
//! - [`net`]: listeners are bound, one per worker, with errors an operator can act on;
//! - [`workers`]: one thread and one `LocalRuntime` per worker; a panic in any of them ends the process;
//! - [`clock`] and [`random`]: the monotonic clock, the wall clock, a seed, and hyper's timer and executor;
//! - [`io`]: a byte stream whose first bytes were already looked at, in hyper's traits;
//! - [`signals`] and [`drain`]: the way out, in stages;
//! - [`tls`]: connections that are opened with TLS;
//! - [`handover`]: listening sockets go to another process, so that a new version refuses nobody.
//!
//! It deliberately knows nothing of weir's model, of protobuf or of HTTP: of hyper it uses only the `rt` traits.

pub mod clock;
pub mod drain;
pub mod handover;
pub mod io;
pub mod limits;
pub mod net;
pub mod random;
pub mod signals;
pub mod tls;
pub mod workers;
