//! What a process and its children take of the machine, as Linux tells it (proc(5)).

use std::fs;

use crate::evaluation::live::resources::Look;

/// A tick of processor time as programs are told it, milliseconds: the kernel's own may be another.
const TICK_MS: u64 = 10;

/// A look at a process and all below it; `None` where it is gone.
pub(super) fn look(pid: u32, at_ms: u64) -> Option<Look> {
    let mut look = Look { at_ms, worked_ms: 0, resident: 0 };
    let (worked, resident) = one(pid)?;
    (look.worked_ms, look.resident) = (worked, resident);
    let mut below = children(pid);
    while let Some(child) = below.pop() {
        // One that ended meanwhile is counted by its parent.
        if let Some((worked, resident)) = one(child) {
            look.worked_ms += worked;
            look.resident += resident;
            below.extend(children(child));
        }
    }
    Some(look)
}

/// Processor time with that of children that ended, milliseconds; resident memory, bytes.
fn one(pid: u32) -> Option<(u64, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in brackets and may hold anything; the third field follows the last bracket. Fields 14 to 17.
    let fields = stat.rsplit_once(") ")?.1.split(' ').skip(11).take(4);
    let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    // A process that ended and was not asked for yet has no such line.
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes: u64 = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0);
    Some((ticks * TICK_MS, kibibytes * 1_024))
}

/// Each thread has children of its own.
fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return vec![] };
    let lists = threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()).collect()
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        process::{Command, Stdio},
    };

    use super::*;

    #[test]
    fn a_process_is_seen_with_its_children() {
        let own = std::process::id();
        let before = look(own, 5).unwrap();
        assert!(before.at_ms == 5 && before.resident > 1_000_000, "{before:?}");
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // When it answers it is itself, and no more a copy of this process.
        child.stdin.as_mut().unwrap().write_all(b"a").unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        assert!(children(own).contains(&child.id()));
        let its = look(child.id(), 0).unwrap();
        assert!(its.resident > 100_000 && its.resident < before.resident, "{its:?}");
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(look(child.id(), 0), None);
    }
}
