//! What the operating system and the allocator know about this process.

use std::sync::OnceLock;

/// Memory and processor time of the process. Zero where the system does not tell.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct ProcessUsage {
    /// Bytes that the program asked the allocator for.
    pub allocated_bytes: u64,
    /// Bytes of pages that hold allocations.
    pub active_bytes: u64,
    /// Bytes of the allocator's pages that are in memory.
    pub resident_bytes: u64,
    /// Bytes of the process in memory.
    pub rss_bytes: u64,
    /// Seconds of processor time in the program.
    pub cpu_user_s: f64,
    /// Seconds of processor time in the kernel.
    pub cpu_system_s: f64,
}

/// Asks the allocator and the kernel. Takes tens of microseconds.
pub fn usage() -> ProcessUsage {
    use tikv_jemalloc_ctl::{epoch, stats};
    // The allocator's numbers are those of the last epoch.
    let _ = epoch::advance();
    let bytes = |result: tikv_jemalloc_ctl::Result<usize>| result.unwrap_or(0) as u64;
    let (cpu_user_s, cpu_system_s) = cpu_seconds().unwrap_or_default();
    ProcessUsage {
        allocated_bytes: bytes(stats::allocated::read()),
        active_bytes: bytes(stats::active::read()),
        resident_bytes: bytes(stats::resident::read()),
        rss_bytes: rss_bytes().unwrap_or(0),
        cpu_user_s,
        cpu_system_s,
    }
}

/// Gives the memory that the allocator keeps for later back to the system.
pub fn purge() -> bool {
    // SAFETY: the name ends with a zero, and the control takes and returns nothing: jemalloc(3), `arena.<i>.purge`, with
    // the number that stands for all arenas.
    unsafe {
        let nothing = std::ptr::null_mut();
        tikv_jemalloc_sys::mallctl(
            c"arena.4096.purge".as_ptr(),
            nothing,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            0,
        ) == 0
    }
}

/// What the allocator tells of itself.
pub fn allocator_report() -> String {
    let mut text = Vec::new();
    // Writing to memory cannot fail.
    let _ = tikv_jemalloc_ctl::stats_print::stats_print(&mut text, Default::default());
    String::from_utf8_lossy(&text).into_owned()
}

/// User and system time. Source: proc(5), fields 14 and 15 of `/proc/self/stat`.
fn cpu_seconds() -> Option<(f64, f64)> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold spaces; field 3 follows it.
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_ascii_whitespace().collect();
    let ticks_per_s = rustix::param::clock_ticks_per_second() as f64;
    let seconds = |field: usize| Some(fields.get(field - 3)?.parse::<f64>().ok()? / ticks_per_s);
    Some((seconds(14)?, seconds(15)?))
}

/// Source: proc(5), second field of `/proc/self/statm`, in pages.
fn rss_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// Bytes of memory of the machine.
pub fn total_memory_bytes() -> u64 {
    static TOTAL: OnceLock<u64> = OnceLock::new();
    *TOTAL.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kib = text.strip_prefix("MemTotal:").and_then(|rest| rest.split_ascii_whitespace().next());
        kib.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
    })
}

/// The kernel's name, release and machine, as `uname -srm` prints them.
pub fn operating_system() -> String {
    let name = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    format!("{} {} {}", text(name.sysname()), text(name.release()), text(name.machine()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_has_memory_and_processor_time() {
        let mut work = 0u64;
        // A tick is 10 ms: compute until the kernel has counted one.
        while usage().cpu_user_s + usage().cpu_system_s == 0.0 {
            work = (0..1_000_000).fold(work, |sum, i| sum.wrapping_mul(31).wrapping_add(i));
        }
        let usage = usage();
        assert!(usage.rss_bytes > 1 << 20, "{work} {usage:?}");
        assert!(total_memory_bytes() > usage.rss_bytes);
        assert!(operating_system().starts_with("Linux "));
    }
}
