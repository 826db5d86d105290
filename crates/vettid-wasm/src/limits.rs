//! What one event may cost a component: memory, time, instructions, and what it hands to the host in one call.

use vettid_wire::manifest::Permissions;

/// A component may take at most this much memory, in bytes (64 MiB).
pub const MAX_MEMORY_BYTES: usize = 64 * 1024 * 1024;
/// Longest time for one event, host calls included, in milliseconds.
pub const MAX_DEADLINE_MS: u64 = 10_000;
/// Largest component in bytes (16 MiB).
pub const MAX_COMPONENT_BYTES: usize = 16 * 1024 * 1024;
/// Most table elements of a component.
pub(crate) const MAX_TABLE_ELEMENTS: usize = 20_000;
/// Instructions (roughly) for each millisecond of the deadline: fuel ends a run that the clock would let go on because the
/// machine is fast, so that a handler does not depend on the speed of its host.
const FUEL_PER_MS: u64 = 1_000_000;

/// The limits of one component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Memory in bytes, over all its memories.
    pub memory_bytes: usize,
    /// Time in milliseconds, host calls included.
    pub deadline_ms: u64,
    /// Instructions, roughly.
    pub fuel: u64,
    /// Bytes handed to the host in one call, its reply included.
    pub call_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self::new(MAX_MEMORY_BYTES, 2_000)
    }
}

impl Limits {
    /// Limits of so much memory and time, neither above what any component may have.
    #[must_use]
    pub fn new(memory_bytes: usize, deadline_ms: u64) -> Self {
        let deadline_ms = deadline_ms.clamp(1, MAX_DEADLINE_MS);
        Self {
            memory_bytes: memory_bytes.min(MAX_MEMORY_BYTES),
            deadline_ms,
            fuel: deadline_ms * FUEL_PER_MS,
            call_bytes: 256 * 1024,
        }
    }

    /// The limits that a package's manifest states.
    #[must_use]
    pub fn of(permissions: &Permissions) -> Self {
        let memory_mib = usize::try_from(permissions.max_memory_mb).unwrap_or(usize::MAX);
        Self::new(
            memory_mib.saturating_mul(1024 * 1024),
            u64::from(permissions.max_runtime_seconds).saturating_mul(1000),
        )
    }
}

/// Counts the memory of one running component, and remembers that it wanted too much.
#[derive(Debug)]
pub(crate) struct MemoryLimit {
    free_bytes: usize,
    pub(crate) is_exceeded: bool,
}

impl MemoryLimit {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { free_bytes: limits.memory_bytes, is_exceeded: false }
    }
}

impl wasmtime::ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let left = self.free_bytes.checked_sub(desired.saturating_sub(current));
        self.is_exceeded |= left.is_none();
        self.free_bytes = left.unwrap_or(self.free_bytes);
        Ok(left.is_some())
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let fits = desired <= MAX_TABLE_ELEMENTS;
        self.is_exceeded |= !fits;
        Ok(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmtime::ResourceLimiter;

    #[test]
    fn no_manifest_goes_beyond_the_bounds() {
        let limits = Limits::new(usize::MAX, u64::MAX);
        assert_eq!(limits.memory_bytes, MAX_MEMORY_BYTES);
        assert_eq!(limits.deadline_ms, MAX_DEADLINE_MS);
        assert_eq!(Limits::new(0, 0).deadline_ms, 1);
    }

    #[test]
    fn all_memories_count_together() {
        let mut limit = MemoryLimit::new(&Limits::new(100, 1));
        assert!(limit.memory_growing(0, 60, None).unwrap());
        assert!(!limit.memory_growing(0, 60, None).unwrap());
        assert!(limit.is_exceeded);
        assert!(limit.memory_growing(60, 100, None).unwrap());
        assert!(!limit.memory_growing(100, 101, None).unwrap());
    }
}
