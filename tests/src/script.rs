//! Peers that are Python programs: stock libraries at the ends of the mesh.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A script below `tests/`, run by the Python that `tests/peers/install grpcio` made. It ends with its standard input, and when dropped.
#[derive(Debug)]
pub struct Script {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Script {
    /// Starts one.
    pub fn start(file: &str, args: &[&str], environment: &[(&str, &str)]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let mut command = Command::new(crate::peer("py/bin/python"));
        command
            .arg(script)
            .args(args)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    /// The next line it prints; empty once it ended.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// Writes a line and reads the answer, which is JSON.
    pub fn ask(&mut self, line: &str) -> serde_json::Value {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
        serde_json::from_str(&self.line()).unwrap()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.input = None;
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}
