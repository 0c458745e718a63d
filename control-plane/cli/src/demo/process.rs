//! A program of the demo as a real process: started, found by the address it prints, watched, killed.
//!
//! What it says on standard error goes to a file of its own. It never outlives the demo: [`exec`] is started in its place,
//! asks the kernel to be killed when the demo dies, whatever the reason, and then becomes the program.

use anyhow::{Context, anyhow, bail};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// How long a program may take until it listens.
const START: Duration = Duration::from_secs(20);
/// How much of a log is shown when something went wrong.
const TAIL_BYTES: u64 = 4096;
const TAIL_LINES: usize = 12;

/// What the hidden `demo-exec` is told.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Exec {
    /// The process without which the program must not run.
    #[arg(long)]
    parent: u32,
    /// The program and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    program: Vec<OsString>,
}

/// Becomes the program, which is killed when its parent dies. Returns only if that fails.
pub(crate) fn exec(exec: &Exec) -> anyhow::Error {
    use std::os::unix::process::CommandExt;
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
    {
        return anyhow!("cannot ask to be killed with the demo: {error}");
    }
    // The parent may have died before the kernel was asked.
    if std::os::unix::process::parent_id() != exec.parent {
        return anyhow!("the demo that started this is gone");
    }
    let Some((program, arguments)) = exec.program.split_first() else {
        return anyhow!("no program is named");
    };
    let error = std::process::Command::new(program).args(arguments).exec();
    anyhow!("cannot start {}: {error}", program.display())
}

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) log: PathBuf,
    addresses: BTreeMap<String, SocketAddr>,
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Process {
    /// Starts a program and waits until it says where it listens.
    ///
    /// To be called from the main thread only: the kernel takes the end of the thread that started a process for its parent's.
    pub(crate) async fn start(
        name: &str,
        logs: &Path,
        program: &Path,
        arguments: &[String],
    ) -> anyhow::Result<Process> {
        let log = logs.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log);
        let file = file.with_context(|| format!("cannot write {}", log.display()))?;
        let this = std::env::current_exe().context("cannot find this program")?;
        let mut command = Command::new(this);
        command
            .args(["demo-exec", "--parent", &std::process::id().to_string(), "--"])
            .arg(program)
            .args(arguments);
        // The caller's own mesh is not the demo's.
        for (variable, _) in std::env::vars_os() {
            if variable.to_str().is_some_and(|name| name.starts_with("WEIR_")) {
                command.env_remove(variable);
            }
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let stdout = child.stdout.take().context("standard output is not connected")?;
        let stdin = child.stdin.take();
        let mut process = Process { name: name.to_owned(), log, addresses: BTreeMap::new(), child, stdin };
        match tokio::time::timeout(START, listening(stdout)).await {
            Ok(Ok(addresses)) => process.addresses = addresses,
            Ok(Err(error)) => {
                // It is ending: its exit status and its log say why.
                let status = tokio::time::timeout(Duration::from_secs(1), process.child.wait()).await;
                let status = status.map_or_else(|_| error.to_string(), |status| ended(status.ok()));
                bail!("{name} did not start: {status}{}", process.tail());
            }
            Err(_) => bail!("{name} did not say within {START:?} where it listens{}", process.tail()),
        }
        Ok(process)
    }

    /// An address it printed.
    pub(crate) fn address(&self, what: &str) -> anyhow::Result<SocketAddr> {
        let known = || self.addresses.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let address = self.addresses.get(what).copied();
        address.ok_or_else(|| anyhow!("{} did not say where its {what:?} is, only {}", self.name, known()))
    }

    /// Writes a line to its standard input.
    pub(crate) async fn tell(&mut self, line: &str) -> anyhow::Result<()> {
        let stdin = self.stdin.as_mut().context("its standard input is closed")?;
        stdin.write_all(format!("{line}\n").as_bytes()).await?;
        Ok(stdin.flush().await?)
    }

    /// An error if it ended although nobody asked it to.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            status => bail!("{} {}{}", self.name, ended(status.ok().flatten()), self.tail()),
        }
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().await.with_context(|| format!("cannot kill {}", self.name))
    }

    /// The end of its log, with where the rest is.
    pub(crate) fn tail(&self) -> String {
        let lines = last_lines(&self.log).unwrap_or_else(|error| format!("    ({error})\n"));
        let text = if lines.is_empty() { "    (nothing)\n" } else { &lines };
        format!("\n  the end of its log, {}:\n{text}", self.log.display())
    }
}

fn ended(status: Option<ExitStatus>) -> String {
    status.map_or_else(|| "ended".to_owned(), |status| format!("ended ({status})"))
}

/// Reads until the line that says where the program listens, then leaves the rest unread by nobody: a task drains it.
async fn listening(stdout: ChildStdout) -> anyhow::Result<BTreeMap<String, SocketAddr>> {
    let mut lines = BufReader::new(stdout.take(1 << 20)).lines();
    loop {
        let line = lines.next_line().await?.ok_or_else(|| anyhow!("it ended"))?;
        if let Some(addresses) = addresses(&line) {
            let mut rest = lines.into_inner().into_inner().into_inner();
            tokio::spawn(async move { tokio::io::copy(&mut rest, &mut tokio::io::sink()).await });
            return Ok(addresses);
        }
    }
}

/// The addresses of `PROGRAM listening NAME=ADDRESS …`; `None` if the line says something else.
fn addresses(line: &str) -> Option<BTreeMap<String, SocketAddr>> {
    let (_, list) = line.split_once(" listening ")?;
    let one = |word: &str| {
        let (name, address) = word.split_once('=')?;
        Some((name.to_owned(), address.parse().ok()?))
    };
    let found: BTreeMap<String, SocketAddr> = list.split_whitespace().filter_map(one).collect();
    (!found.is_empty()).then_some(found)
}

/// The last lines of a file, indented.
fn last_lines(path: &Path) -> std::io::Result<String> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    Ok(last.iter().map(|line| format!("    {line}\n")).collect())
}

#[cfg(test)]
mod tests;
