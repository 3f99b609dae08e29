//! One server of the suite: started with a log file, gone when the test program is gone.
//!
//! A process must not outlive the test program even if that is killed: each has a watcher that
//! holds one end of a pipe and kills the process when the other end closes.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::wait::until;

/// A running server.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
    watcher: Child,
}

impl Process {
    /// Starts `program`; what it prints is appended to `<folder>/<name>.log`.
    pub fn start(
        name: &str,
        program: &Path,
        arguments: &[String],
        folder: &Path,
    ) -> anyhow::Result<Self> {
        Self::start_in(name, program, arguments, folder, &[])
    }

    /// The same with variables in its environment beside ours.
    pub(crate) fn start_in(
        name: &str,
        program: &Path,
        arguments: &[String],
        folder: &Path,
        environment: &[(String, String)],
    ) -> anyhow::Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot open {}", log.display()))?;
        let mut child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        match watch(child.id()) {
            Ok(watcher) => Ok(Self { name: name.to_owned(), log, child, watcher }),
            Err(error) => {
                child.kill().context("cannot stop what has no watcher")?;
                Err(error)
            }
        }
    }

    /// The operating system's number of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The file with what the process printed.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Fails, with the end of the log, if the process has ended.
    pub fn check(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended ({status}):\n{}", self.name, self.log_end()),
        }
    }

    /// Waits until somebody listens at the address; fails if the process has ended.
    pub(crate) fn wait_listening(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        until(&format!("{} listens", self.name), || {
            self.check()?;
            Ok(TcpStream::connect(address).ok().map(drop))
        })
    }

    /// Asks the process to end (SIGTERM) and waits for it.
    pub fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("not a process id")?, Signal::TERM)?;
        let child = &mut self.child;
        let status = until("a process ends after SIGTERM", || Ok(child.try_wait()?))?;
        self.watcher.kill()?;
        Ok(status)
    }

    /// Waits for its own end.
    pub fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        until(&format!("{} has ended", self.name), || Ok(self.child.try_wait()?))
    }

    /// Ends the process at once (SIGKILL).
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.watcher.kill()?;
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// The last lines of what the process printed.
    pub fn log_end(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().rev().take(25).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The watcher first: after `wait` the number may belong to somebody else.
        self.watcher.kill().ok();
        self.watcher.wait().ok();
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Kills `pid` when our end of the watcher's standard input closes.
fn watch(pid: u32) -> anyhow::Result<Child> {
    Command::new("sh")
        .args(["-c", r#"read -r _; kill -KILL "$0""#, &pid.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start the watcher")
}

/// What a program prints that ends well.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {said} {error}");
    Ok(output.stdout)
}

/// A port that is free now. The kernel does not hand the same one out again soon.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
