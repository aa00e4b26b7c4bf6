//! A child process that ends with the test, and whose log a failed test shows.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Time for a child to end by itself after it was asked to.
const END_TIME_MAX: Duration = Duration::from_secs(20);
/// How much of the end of a log a failed test shows, in bytes.
const LOG_SHOWN_BYTES: usize = 16 * 1024;

/// A running child; dropping it ends it.
///
/// Its standard input stays open until then, for programs that end with it. Output goes to a log
/// file, so a child that writes a lot never blocks on a full pipe.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, with output and errors in `dir`/`name`.log.
    pub fn start(name: &'static str, command: &mut Command, dir: &Path) -> Self {
        let log = dir.join(format!("{name}.log"));
        let file = File::create(&log).expect("a log file");
        let child = command
            .stdin(Stdio::piped())
            .stdout(file.try_clone().expect("the log file twice"))
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name} ({command:?}): {error}"));
        Self { name, child, log }
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the state of a child")
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end as an operator does (SIGTERM) and waits; after a while it is killed.
    pub fn stop(&mut self) -> Option<ExitStatus> {
        drop(self.child.stdin.take());
        if self.ended().is_none() {
            let id = self.id().to_string();
            let _ = Command::new("kill").args(["-TERM", &id]).status();
        }
        let began = Instant::now();
        while self.ended().is_none() && began.elapsed() < END_TIME_MAX {
            thread::sleep(Duration::from_millis(10));
        }
        let ended = self.ended();
        if ended.is_none() {
            self.kill();
        }
        ended
    }

    /// Ends it at once (SIGKILL).
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
        if thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(LOG_SHOWN_BYTES);
            let shown = log.get(log.ceil_char_boundary(from)..).unwrap_or_default();
            eprintln!("---- log of {} ----\n{shown}---- end ----", self.name);
        }
    }
}
