//! The kernel's strands, as crate `stress` measures them.

use alloc::string::{String, ToString};
use core::sync::atomic::Ordering;

use sched::{Builder, Handle, Machine};
use stress::bench::strands::Weaver;

use crate::{
    cores, memory,
    strands::{self, Cpu},
    torment::Victim,
};

impl Weaver for Victim {
    type Machine = Cpu;

    #[inline]
    fn weave(
        &self,
        builder: Builder,
        stack_bytes: Option<usize>,
        entry: impl FnOnce() + Send + 'static,
    ) -> Result<Handle<Cpu>, String> {
        strands::spawn_sized(builder, stack_bytes.unwrap_or(strands::STACK_SIZE), entry)
            .map_err(|error| error.to_string())
    }

    fn bytes_in_use(&self) -> usize {
        let frames = memory::stats().frames;
        (frames.total - frames.free) * ::memory::PAGE_SIZE
    }

    fn stacks(&self) -> usize {
        memory::stats().stacks
    }

    fn kicks(&self) -> u64 {
        // Relaxed: a count, for people.
        let of = |core| cores::area(core).map_or(0, |area| area.local.kicks.load(Ordering::Relaxed));
        (0..Cpu::scheduler().core_count()).map(of).sum()
    }
}
