//! The processes of accounts: started, signalled, and waited for without a moment in which a signal could be lost or
//! could reach another process.
//!
//! Each is in a process group of its own, so that a terminal's interrupt reaches it once, from here.

use std::io::Result;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::cli::signals::SentSignal;

/// The processes that run.
#[derive(Debug, Default)]
pub struct Children(Mutex<Alive>);

#[derive(Debug, Default)]
struct Alive {
    pids: Vec<Pid>,
    is_stopping: bool,
}

impl Children {
    /// Starts a process; none once a signal has been passed on.
    pub fn start(&self, command: &mut Command) -> Result<Option<Child>> {
        let mut alive = self.alive();
        if alive.is_stopping {
            return Ok(None);
        }
        let child = command.process_group(0).spawn()?;
        alive.pids.push(Pid::from_child(&child));
        Ok(Some(child))
    }

    /// Passes a signal on to every process, and lets no more start.
    pub fn signal(&self, sent: SentSignal) {
        let mut alive = self.alive();
        alive.is_stopping = true;
        let signal = match sent {
            SentSignal::Interrupt => Signal::INT,
            SentSignal::Terminate => Signal::TERM,
        };
        for pid in &alive.pids {
            // One that has just ended is still ours: it is not reaped before it leaves the list.
            let _ = kill_process(*pid, signal);
        }
    }

    /// Waits for the end of a process.
    pub fn wait(&self, mut child: Child) -> Result<ExitStatus> {
        let pid = Pid::from_child(&child);
        // It stays unreaped, so that its id is no other process's, until no signal is sent to it any more.
        while let Err(Errno::INTR) = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {}
        self.alive().pids.retain(|known| *known != pid);
        child.wait()
    }

    fn alive(&self) -> MutexGuard<'_, Alive> {
        self.0.lock().expect("no holder of this lock panics")
    }
}
