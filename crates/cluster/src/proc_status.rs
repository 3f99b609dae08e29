//! What the kernel says of a process's memory, by the names of `/proc/<pid>/status`.

use std::fs;

use anyhow::Context;

/// Bytes of memory that a process has now (`VmRSS`).
pub fn vm_rss(pid: u32) -> anyhow::Result<u64> {
    bytes(pid, "VmRSS")
}

/// The most that `VmRSS` has been (`VmHWM`) since the process began, or since [`forget_vm_hwm`].
pub fn vm_hwm(pid: u32) -> anyhow::Result<u64> {
    bytes(pid, "VmHWM")
}

/// Makes the kernel begin anew with `VmHWM`.
pub fn forget_vm_hwm(pid: u32) -> anyhow::Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").context("VmHWM cannot be reset")
}

fn bytes(pid: u32, field: &str) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = |line: &str| Some(line.strip_prefix(field)?.strip_prefix(':')?.trim().to_owned());
    let value = status.lines().find_map(value).with_context(|| format!("no {field}"))?;
    let kib: u64 = value.trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}
