//! The processes of a round as the director sees them: started, stopped, killed, waited for.

use std::error::Error;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::HANG;
use super::board::{Board, Order, PARTIES, Party, WRITERS};
use super::plan::{Policy, Role};

type Fallible<T = ()> = Result<T, Box<dyn Error>>;

/// One process.
pub struct Actor {
    pub role: Role,
    pub number: usize,
    child: Child,
    is_alive: bool,
}

/// All processes of a round. The living are killed when this is dropped.
pub struct Cast<'a> {
    pub board: &'a Board,
    pub actors: Vec<Actor>,
    segment: &'a Path,
    board_file: &'a Path,
    policy: Policy,
    round: u32,
    looked: Instant,
}

impl<'a> Cast<'a> {
    pub fn new(board: &'a Board, board_file: &'a Path, segment: &'a Path, policy: Policy, round: u32) -> Self {
        Self { board, actors: Vec::new(), segment, board_file, policy, round, looked: Instant::now() }
    }

    /// Starts a process; its place in `actors`.
    pub fn start(&mut self, role: Role) -> Fallible<usize> {
        let is_writer = |role| matches!(role, Role::Writer | Role::Owner);
        let before = self.actors.iter().filter(|actor| is_writer(actor.role) == is_writer(role)).count();
        let number = if is_writer(role) { before } else { WRITERS + before };
        // The last writer's number is the director's own.
        if number >= if is_writer(role) { WRITERS - 1 } else { PARTIES } {
            return Err("more parties than the board has room for".into());
        }
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("soak-party").arg(self.segment).arg(self.board_file).arg(role.name()).arg(self.policy.name());
        command.arg(number.to_string()).arg(self.round.to_string()).arg(std::process::id().to_string());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        self.actors.push(Actor { role, number, child, is_alive: true });
        Ok(self.actors.len() - 1)
    }

    pub fn party(&self, at: usize) -> Party<'a> {
        self.board.party(self.actors[at].number)
    }

    pub fn pid(&self, at: usize) -> u32 {
        self.actors[at].child.id()
    }

    /// The living of a role.
    pub fn living(&self, role: Role) -> Vec<usize> {
        (0..self.actors.len()).filter(|&at| self.actors[at].is_alive && self.actors[at].role == role).collect()
    }

    /// Fails if a living one ended by itself. Looks once in a millisecond at most.
    pub fn check(&mut self) -> Fallible {
        if self.looked.elapsed() < Duration::from_millis(1) {
            return Ok(());
        }
        self.looked = Instant::now();
        for actor in self.actors.iter_mut().filter(|actor| actor.is_alive) {
            if let Some(status) = actor.child.try_wait()? {
                actor.is_alive = false;
                return Err(format!("{} {} ended by itself with {status}", actor.role.name(), actor.number).into());
            }
        }
        Ok(())
    }

    /// SIGKILL, without waiting.
    pub fn kill(&mut self, at: usize) -> Fallible {
        self.actors[at].is_alive = false;
        Ok(self.actors[at].child.kill()?)
    }

    /// Waits for the end of one that was killed. That it had failed a moment before is a failure: what it had seen would be lost.
    pub fn reap(&mut self, at: usize) -> Fallible {
        let actor = &mut self.actors[at];
        actor.is_alive = false;
        let status = actor.child.wait()?;
        if status.success() || status.signal() == Some(libc::SIGKILL) {
            return Ok(());
        }
        Err(format!("{} {} ended with {status} before it was killed", actor.role.name(), actor.number).into())
    }

    /// Stops it, and returns when it has stopped.
    pub fn stop(&mut self, at: usize) -> Fallible {
        self.signal(at, libc::SIGSTOP)?;
        let pid = libc::pid_t::try_from(self.pid(at))?;
        let mut status = 0;
        // SAFETY: `status` is a place for the answer. The call returns once the child has stopped, or has ended.
        let answer = unsafe { libc::waitpid(pid, &raw mut status, libc::WUNTRACED) };
        if answer == pid && libc::WIFSTOPPED(status) {
            return Ok(());
        }
        self.actors[at].is_alive = false;
        Err(format!("{} {} ended by itself, status {status:#x}", self.actors[at].role.name(), self.actors[at].number).into())
    }

    pub fn go_on(&mut self, at: usize) -> Fallible {
        self.signal(at, libc::SIGCONT)
    }

    fn signal(&self, at: usize, number: i32) -> Fallible {
        let pid = libc::pid_t::try_from(self.pid(at))?;
        // SAFETY: numbers; the child is not reaped yet, so the process is ours.
        if unsafe { libc::kill(pid, number) } == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().into()) }
    }

    /// Tells these to end, and waits until they have; `meanwhile` is called again and again.
    pub fn end(&mut self, these: &[usize], order: Order, mut meanwhile: impl FnMut() -> Fallible) -> Fallible {
        these.iter().for_each(|&at| self.party(at).tell(order));
        for &at in these {
            let start = Instant::now();
            let status = loop {
                if let Some(status) = self.actors[at].child.try_wait()? {
                    break status;
                }
                if start.elapsed() > HANG {
                    return Err(format!("{} {} does not end", self.actors[at].role.name(), self.actors[at].number).into());
                }
                meanwhile()?;
            };
            self.actors[at].is_alive = false;
            if !status.success() || !self.party(at).is_done() {
                return Err(format!("{} {} ended with {status}", self.actors[at].role.name(), self.actors[at].number).into());
            }
        }
        Ok(())
    }
}

impl Drop for Cast<'_> {
    fn drop(&mut self) {
        for actor in self.actors.iter_mut().filter(|actor| actor.is_alive) {
            // One that has ended by itself is as good as killed.
            let _ = actor.child.kill();
            let _ = actor.child.wait();
        }
    }
}
