//! What the kernel does when a spindle calls. Each procedure here is the implementation of a
//! declaration in the spindle's kit, which says what it promises.
//!
//! They run on the spindle's strand, interrupts on, no lock held, and are trusted: a cut never hits
//! them. Words that stand for pointers come from the kit's own code, which no safe code can reach
//! around; what can be checked of them is checked all the same.
//!
//! Those of the interface `Dispatcher` are in [`dispatch`], those of `Strand` in [`strands`], those of `Package` in
//! [`package`].

pub mod dispatch;
pub mod package;
pub mod strands;

use core::{
    alloc::Layout,
    fmt::{self, Write as _},
    ptr::{self, NonNull},
    sync::atomic::Ordering,
};

use dispatcher::{Processor, context};
use sched::Machine;
use spindle::{Error, Status, plain::Text};

use super::{
    domain::{Domain, with_running},
    failure,
};
use crate::{cores::words, println, strands::Cpu};

/// Stack that the core finds when a domain calls it, in bytes; where less is left it does nothing, or
/// it would overflow in the caller's place, and that ends the machine.
const LEAST_STACK: usize = 8 * 1024;

/// For how long one whose waits are over lets others run, where it would give way, in nanoseconds.
const NAP_NS: u64 = 50_000;

/// What comes first in every procedure: is there enough stack for the core to do what the caller asks?
/// A caller whose domain has failed meanwhile, on another core, goes no further.
fn enter() -> Result<(), Error> {
    failure::cut_the_dead();
    if has_stack() { Ok(()) } else { Err(Error::OutOfStack) }
}

#[inline]
fn has_stack() -> bool {
    words::stack_left() >= LEAST_STACK
}

/// Runs `body` for the domain that calls, if there is one and it has left stack for it.
fn run<T>(body: impl FnOnce(&Domain) -> Result<T, Error>) -> Result<T, Error> {
    enter()?;
    with_running(body).unwrap_or(Err(Error::Context))
}

/// Runs `body` for the domain that calls, and puts its value where the caller wants it.
fn answer<T>(result: *mut T, body: impl FnOnce(&Domain) -> Result<T, Error>) -> Status {
    run(body)
        .map(|value| {
            // SAFETY: the kit's wrapper passes room for the result, on its own stack.
            unsafe { result.write(value) }
        })
        .into()
}

pub extern "C" fn write(text: Text<'_>) -> Status {
    run(|domain| {
        domain.lines.fetch_add(1, Ordering::Relaxed);
        // Each line is marked, and none can move the cursor: nobody speaks in another's name.
        text.as_str().lines().for_each(|line| println!("[{}] {}", domain.name, Printable(line)));
        Ok(())
    })
    .into()
}

/// Text without control characters, which are shown as a question mark.
struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let visible = |letter: char| if letter.is_control() { '?' } else { letter };
        self.0.chars().map(visible).try_for_each(|letter| out.write_char(letter))
    }
}

pub extern "C" fn now(result: *mut u64) -> Status {
    answer(result, |_| Ok(Cpu::now_ns()))
}

pub extern "C" fn core(result: *mut u32) -> Status {
    answer(result, |_| Ok(Cpu::core_id() as u32))
}

pub extern "C" fn cores(result: *mut u32) -> Status {
    answer(result, |_| Ok(Cpu::scheduler().core_count() as u32))
}

/// May the strand that calls block here?
fn may_block() -> bool {
    Cpu::is_preemptible() && context::might_sleep::<Cpu>().is_ok()
}

pub extern "C" fn sleep(nanoseconds: u64) -> Status {
    if let Err(error) = enter() {
        return Err(error).into();
    }
    if !may_block() {
        return Err(Error::Context).into();
    }
    let deadline = Cpu::now_ns().saturating_add(nanoseconds);
    while Cpu::now_ns() < deadline {
        // Sleeping is a point at which a domain that is being retired gets its strands back.
        if let Err(error) = strands::wait(Some(deadline)) {
            return Err(error).into();
        }
    }
    Status::OK
}

pub extern "C" fn yield_now() -> Status {
    if let Err(error) = enter() {
        return Err(error).into();
    }
    if !may_block() {
        return Err(Error::Context).into();
    }
    if strands::is_over(&sched::current::<Cpu>()) {
        // It asks again and again, since it sleeps no more: the less urgent, for one of whom it may wait, have to run.
        sched::sleep_ns::<Cpu>(NAP_NS);
    } else {
        sched::yield_now::<Cpu>();
    }
    failure::cut_the_dead();
    Status::OK
}

/// A guard only looks: it raises nothing, changes nothing, and takes no memory.
fn may_do_more_than_look() -> Result<(), Error> {
    context::might_raise::<Cpu>().map_err(|_| Error::Context)
}

pub extern "C" fn allocate(size: usize, align: usize, result: *mut usize) -> Status {
    answer(result, |domain| {
        may_do_more_than_look()?;
        let layout = Layout::from_size_align(size, align).map_err(|_| Error::BadArgument)?;
        let block = domain.heap.allocate(layout).map_err(|_| Error::OutOfMemory)?;
        Ok(block.as_ptr().expose_provenance())
    })
}

pub extern "C" fn free(start: usize, size: usize, align: usize) -> Status {
    run(|domain| {
        let layout = Layout::from_size_align(size, align).map_err(|_| Error::BadArgument)?;
        let block = NonNull::new(ptr::with_exposed_provenance_mut(start)).ok_or(Error::BadArgument)?;
        // SAFETY: the kit's allocator passes blocks that this heap handed out, with their layout.
        unsafe { domain.heap.deallocate(block, layout) };
        Ok(())
    })
    .into()
}

pub extern "C" fn panic(message: Text<'_>) -> Status {
    if enter().is_err() {
        failure::end_by_exhaustion();
    }
    failure::end_by_panic(message.as_str());
    // There was no domain to end.
    Err(Error::Context).into()
}
