//! The children: started, listened to, killed, reaped; and the directory they meet in.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use super::event::Event;
use super::{Role, RoleArgs};
use crate::fail::Failure;
use crate::signals;

/// How long children that were asked to end are waited for before they are killed.
const PATIENCE: Duration = Duration::from_secs(2);

/// Which child.
pub type Id = usize;

/// What comes from a child: an event, or (`None`) the end of its output.
pub type Told = (Id, Option<Event>);

/// All children of a demo. Dropping it ends them and removes what they left.
pub struct Family {
    args: RoleArgs,
    members: Vec<Member>,
    tell: Sender<Told>,
    told: Receiver<Told>,
}

struct Member {
    child: Child,
    /// Kept open until the child is to go on.
    input: Option<ChildStdin>,
    status: Option<ExitStatus>,
}

impl Family {
    /// A family without children, in a directory of its own; `args` but for directory and role are what each child gets.
    ///
    /// # Errors
    /// The directory could not be made.
    pub fn new(args: RoleArgs) -> Result<Self, Failure> {
        let dir = directory().map_err(|error| Failure::io("making a directory for the demo", &error).next("look at TMPDIR"))?;
        let (tell, told) = channel();
        Ok(Self { args: RoleArgs { dir, ..args }, members: Vec::new(), tell, told })
    }

    /// What its children were told.
    pub fn args(&self) -> &RoleArgs {
        &self.args
    }

    /// Starts a child.
    ///
    /// # Errors
    /// It could not be started.
    pub fn spawn(&mut self, role: Role) -> Result<Id, Failure> {
        let failed = |error| Failure::io("starting a process of the demo", &error);
        let name = match role {
            Role::Writer => "writer",
            Role::Reader => "reader",
            Role::Victim => "victim",
        };
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command.arg("demo-role").arg(name);
        for (name, path) in [("--dir", &self.args.dir), ("--file", &self.args.file)] {
            command.arg(name).arg(path);
        }
        let numbers = [
            ("--total", self.args.total),
            ("--sample", self.args.sample),
            ("--slots", self.args.slots),
            ("--parent", u64::from(self.args.parent)),
        ];
        for (name, number) in numbers {
            command.arg(name).arg(number.to_string());
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(failed)?;
        let id = self.members.len();
        let (input, output, tell) = (child.stdin.take(), child.stdout.take(), self.tell.clone());
        self.members.push(Member { child, input, status: None });
        // Ends with the child's output; the parent may be gone by then.
        std::thread::spawn(move || {
            let lines = output.map(|output| BufReader::new(output).lines());
            for line in lines.into_iter().flatten().map_while(Result::ok) {
                if let Ok(event) = serde_json::from_str(&line) {
                    let _ = tell.send((id, Some(event)));
                }
            }
            let _ = tell.send((id, None));
        });
        Ok(id)
    }

    /// What children tell, if anything comes in time.
    pub fn listen(&self, timeout: Duration) -> Option<Told> {
        // We have a sender ourselves, so it is never disconnected.
        self.told.recv_timeout(timeout).ok()
    }

    /// Process number of a child.
    pub fn pid(&self, id: Id) -> u32 {
        self.members[id].child.id()
    }

    /// Kills a child (SIGKILL) and waits until it is gone.
    ///
    /// # Errors
    /// The system refused.
    pub fn kill(&mut self, id: Id) -> Result<ExitStatus, Failure> {
        self.members[id].child.kill().map_err(|error| Failure::io("kill", &error))?;
        self.wait(id)
    }

    /// Lets a child that waits for the end of its input go on.
    pub fn release(&mut self, id: Id) {
        self.members[id].input = None;
    }

    /// Waits for a child's end.
    ///
    /// # Errors
    /// The system refused.
    pub fn wait(&mut self, id: Id) -> Result<ExitStatus, Failure> {
        let member = &mut self.members[id];
        let status = member.child.wait().map_err(|error| Failure::io("waitpid", &error))?;
        member.status = Some(status);
        Ok(status)
    }

    /// Asks the children that are left to end, then kills them.
    fn end(&mut self) {
        for member in self.members.iter_mut().filter(|member| member.status.is_none()) {
            member.input = None;
            signals::terminate(member.child.id());
        }
        let start = Instant::now();
        for member in &mut self.members {
            while member.status.is_none() {
                member.status = member.child.try_wait().unwrap_or(None);
                if member.status.is_some() {
                    break;
                }
                if start.elapsed() >= PATIENCE {
                    // It may have ended just now; either way the wait reaps it.
                    let _ = member.child.kill();
                    member.status = member.child.wait().ok();
                    break;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        self.end();
        // The writer removes both; where it was killed they are still there.
        for path in [self.args.slots_path(), self.args.progress_path()] {
            let _ = seqslot::platform().remove(&path, true);
        }
        let _ = std::fs::remove_dir_all(&self.args.dir);
    }
}

/// A directory that only we can enter.
fn directory() -> std::io::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    let base = std::env::temp_dir();
    for attempt in 0..100 {
        let path = base.join(format!("seqslot-demo-{}-{attempt}", std::process::id()));
        match std::fs::DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(()) => return absolute(&path),
        }
    }
    Err(std::io::ErrorKind::AlreadyExists.into())
}

fn absolute(path: &Path) -> std::io::Result<PathBuf> {
    std::path::absolute(path)
}
