//! Child processes that end with this program: the leader of a group of its own, killed with it when it is dropped, and
//! on Linux by the system when this program ends in any way.

use std::process::Stdio;
use std::sync::mpsc::{Sender, channel};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

/// A started process, and the processes that it starts, as long as they stay in its group.
#[derive(Debug)]
pub struct Bound {
    /// The process.
    pub child: Child,
    /// Its id, which is also the id of its group; `None` after the group was killed. The id of an ended process may be
    /// reused, but only after all others were: the group is killed long before.
    group: Option<Pid>,
}

impl Bound {
    /// Starts `command` with all three standard streams piped. A keyboard interrupt reaches only this program.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(mut command: Command) -> std::io::Result<Self> {
        command.process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = on_starter(move || spawn_bound(command))?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        live().extend(group);
        Ok(Self { child, group })
    }

    /// The id of its group, unless that was killed.
    pub fn group(&self) -> Option<Pid> {
        self.group
    }

    /// Kills its group.
    pub fn kill(&mut self) {
        if let Some(group) = self.group.take() {
            let _ = kill_process_group(group, Signal::KILL);
            live().retain(|other| *other != group);
        }
    }
}

impl Drop for Bound {
    /// For the cases where nothing waits for its end: a failed start, or the end of the whole program.
    fn drop(&mut self) {
        self.kill();
    }
}

/// The groups of all processes that were started here and not yet killed.
fn live() -> MutexGuard<'static, Vec<Pid>> {
    static LIVE: Mutex<Vec<Pid>> = Mutex::new(Vec::new());
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until the processes that nobody uses any more have ended, and kills those that are left after `within`. Call
/// it before the program ends: nothing watches them after that.
pub async fn end_all(within: Duration) {
    let all_ended = async {
        while !live().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(within, all_ended).await.is_err() {
        kill_all();
    }
}

/// Kills all processes that were started here, at once.
pub fn kill_all() {
    for group in live().drain(..) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Starts a process that the system kills when this program ends in any way, where the system can.
fn spawn_bound(mut command: Command) -> std::io::Result<Child> {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpid, getppid, set_parent_process_death_signal};
        let program = getpid();
        let bind = move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // It may have ended before it could be bound to.
            if getppid() == Some(program) { Ok(()) } else { Err(std::io::ErrorKind::BrokenPipe.into()) }
        };
        // SAFETY: between fork and exec, `bind` makes two system calls and nothing else.
        unsafe { command.pre_exec(bind) };
    }
    command.spawn()
}

/// Runs `start` on the thread that starts all processes. The system binds a process to the thread that started it, so
/// this one never ends before the program.
fn on_starter(start: impl FnOnce() -> std::io::Result<Child> + Send + 'static) -> std::io::Result<Child> {
    type Job = Box<dyn FnOnce() + Send>;
    static STARTER: LazyLock<std::io::Result<Mutex<Sender<Job>>>> = LazyLock::new(|| {
        let (sender, jobs) = channel::<Job>();
        std::thread::Builder::new()
            .name("starter".into())
            .spawn(move || jobs.into_iter().for_each(|job| job()))?;
        Ok(Mutex::new(sender))
    });
    let gone = || std::io::Error::other("the thread that starts processes has ended");
    let starter = STARTER.as_ref().map_err(|error| std::io::Error::other(error.to_string()))?;
    let (answer, started) = channel();
    let runtime = tokio::runtime::Handle::current();
    let job: Job = Box::new(move || {
        let _in_runtime = runtime.enter();
        let _ = answer.send(start());
    });
    starter.lock().unwrap_or_else(PoisonError::into_inner).send(job).map_err(|_| gone())?;
    started.recv().map_err(|_| gone())?
}
