//! Who a process is: number and start time. There are no pid namespaces.

use seqslot_core::Process;

/// The calling process. Two system calls.
#[must_use]
pub fn current() -> Process {
    let pid = std::process::id();
    Process { pid, start_time: start_time(pid).unwrap_or(0), pid_namespace: 0 }
}

/// A second opinion on whether `process`, as a registry entry tells it, is alive. `None` where that cannot be known.
#[must_use]
pub fn is_alive(process: Process) -> Option<bool> {
    if process.start_time == 0 || current().start_time == 0 {
        return None;
    }
    Some(start_time(process.pid) == Some(process.start_time))
}

/// Microseconds from 1970 to the start of process `pid`.
fn start_time(pid: u32) -> Option<u64> {
    // SAFETY: a plain C struct for which zero is valid.
    let mut info: libc::proc_bsdinfo = unsafe { core::mem::zeroed() };
    let size = size_of::<libc::proc_bsdinfo>() as libc::c_int;
    let pid = libc::c_int::try_from(pid).ok()?;
    // SAFETY: a value of the flavour's type to write to, and its size.
    let got = unsafe { libc::proc_pidinfo(pid, libc::PROC_PIDTBSDINFO, 0, (&raw mut info).cast(), size) };
    (got == size).then(|| info.pbi_start_tvsec * 1_000_000 + info.pbi_start_tvusec)
}
