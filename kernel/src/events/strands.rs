//! `Strand.Resume`, `Checkpoint`, `Block` and `Unblock`: by these the scheduler asks and tells thread packages.
//!
//! The global scheduler is their intrinsic handler, and leaves everything to itself: where no package has
//! answered, that is what its answer says. Nobody installs on them by himself: the kernel does, for a package
//! that registers, keyed by its number, so that each hears of its own strands. With any number of packages a
//! raise finds the right one by one probe.

use dispatcher::{Authority, BindingId, Event, InstallError, guard::RawGuard, handler::RawHandler, key};
use sched::package::{Next, Reason, Silent, Why};
use spin::Once;
use spindle::{
    Event as _, Strand,
    package::{Answer, Block, Checkpoint, GLOBAL, Resume, UPCALL_BOUND_NS, Unblock},
};

use crate::strands::{Cpu, Package};

/// `Strand.Resume`.
pub static RESUME: Event<Resume, Answer, Cpu> =
    Event::new(Resume::NAME, Some(|_| Answer { strand: GLOBAL, until_ns: 0 }));
/// `Strand.Checkpoint`.
pub static CHECKPOINT: Event<Checkpoint, (), Cpu> = Event::new(Checkpoint::NAME, Some(|_| ()));
/// `Strand.Block`.
pub static BLOCK: Event<Block, Strand, Cpu> = Event::new(Block::NAME, Some(|_| GLOBAL));
/// `Strand.Unblock`.
pub static UNBLOCK: Event<Unblock, (), Cpu> = Event::new(Unblock::NAME, Some(|_| ()));

/// The kernel's authority over the four.
static OWNERS: Once<Owners> = Once::new();

struct Owners {
    resume: Authority<'static, Resume, Answer, Cpu>,
    checkpoint: Authority<'static, Checkpoint, (), Cpu>,
    block: Authority<'static, Block, Strand, Cpu>,
    unblock: Authority<'static, Unblock, (), Cpu>,
}

/// Takes them into the kernel's care. Once.
pub(super) fn init() {
    OWNERS.call_once(|| {
        let alone = "the first to ask is their owner";
        Owners {
            resume: RESUME.claim().expect(alone),
            checkpoint: CHECKPOINT.claim().expect(alone),
            block: BLOCK.claim().expect(alone),
            unblock: UNBLOCK.claim().expect(alone),
        }
    });
}

/// A package's handlers.
#[derive(Clone, Copy, Debug)]
pub struct Bindings {
    resume: BindingId,
    checkpoint: BindingId,
    block: BindingId,
    unblock: BindingId,
}

/// Installs a package's handlers for `resume`, `checkpoint`, `block`, `unblock`. All or none.
///
/// # Safety
///
/// They take the arguments of their events and give their results.
///
/// # Errors
///
/// See [`InstallError`].
pub unsafe fn install(number: u32, handlers: [RawHandler; 4]) -> Result<Bindings, InstallError> {
    let owners = OWNERS.get().expect("events are taken into care before anybody registers");
    let guard = |key: dispatcher::RawKey| RawGuard::key(key, u64::from(number));
    let [resume, checkpoint, block, unblock] = handlers.map(|handler| handler.bounded_ns(UPCALL_BOUND_NS));
    let resume_key = guard(key!(Resume, package).raw());
    // SAFETY: the key is one of this event's arguments.
    let resume = unsafe { resume.guarded(resume_key) };
    let checkpoint_key = guard(key!(Checkpoint, package).raw());
    // SAFETY: as above.
    let checkpoint = unsafe { checkpoint.guarded(checkpoint_key) };
    let block_key = guard(key!(Block, package).raw());
    // SAFETY: as above.
    let block = unsafe { block.guarded(block_key) };
    let unblock_key = guard(key!(Unblock, package).raw());
    // SAFETY: as above.
    let unblock = unsafe { unblock.guarded(unblock_key) };
    // SAFETY: by the contract.
    let resume = unsafe { owners.resume.install_raw(resume) }?;
    // SAFETY: by the contract.
    let checkpoint =
        unsafe { owners.checkpoint.install_raw(checkpoint) }.inspect_err(|_| forget(&RESUME, resume))?;
    // SAFETY: by the contract.
    let block = unsafe { owners.block.install_raw(block) }.inspect_err(|_| {
        forget(&RESUME, resume);
        forget(&CHECKPOINT, checkpoint);
    })?;
    // SAFETY: by the contract.
    let unblock = unsafe { owners.unblock.install_raw(unblock) }.inspect_err(|_| {
        forget(&RESUME, resume);
        forget(&CHECKPOINT, checkpoint);
        forget(&BLOCK, block);
    })?;
    Ok(Bindings { resume, checkpoint, block, unblock })
}

/// Removes a package's handlers: from now on the global scheduler's answers stand.
pub fn remove(bindings: &Bindings) {
    forget(&RESUME, bindings.resume);
    forget(&CHECKPOINT, bindings.checkpoint);
    forget(&BLOCK, bindings.block);
    forget(&UNBLOCK, bindings.unblock);
}

/// Removes a handler. It may be gone already, with its domain; and where there is no memory for the plan
/// without it, it goes with its domain later, and until then is asked no more.
fn forget<A: 'static, R: Copy + 'static>(event: &Event<A, R, Cpu>, binding: BindingId) {
    if let Err(error @ InstallError::OutOfMemory) = event.remove(binding) {
        log::warn!("{}: a package's handler stays: {error}", event.any().name());
    }
}

/// For [`sched::Machine::raise_resume`].
pub fn resume(package: &Package, core: usize) -> Result<Next, Silent> {
    let answer = RESUME.raise(&Resume { package: package.number(), core: core as u32 }).map_err(silent)?;
    match (answer.strand, answer.until_ns) {
        (GLOBAL, _) => Err(Silent::Failed),
        (Strand::NONE, 0) => Ok(Next::Idle),
        (Strand::NONE, until) => Ok(Next::IdleUntil(until)),
        (strand, 0) => Ok(Next::Run(strand.to_word())),
        (strand, until) => Ok(Next::RunUntil(strand.to_word(), until)),
    }
}

/// For [`sched::Machine::raise_checkpoint`].
pub fn checkpoint(package: &Package, core: usize, strand: u64, why: Why) -> Result<(), Silent> {
    let (package_number, strand, why) = (package.number(), Strand::from_word(strand), why as u64);
    let told = Checkpoint { package: package_number, core: core as u32, strand, why };
    CHECKPOINT.raise(&told).map_err(silent)?;
    is_there(package)
}

/// For [`sched::Machine::raise_block`].
pub fn block(package: &Package, core: usize, strand: u64, reason: Reason) -> Result<u64, Silent> {
    let (number, strand, reason) = (package.number(), Strand::from_word(strand), reason as u64);
    let asked = Block { package: number, core: core as u32, strand, reason };
    match BLOCK.raise(&asked).map_err(silent)? {
        GLOBAL => Err(Silent::Failed),
        next => Ok(next.to_word()),
    }
}

/// For [`sched::Machine::raise_unblock`].
pub fn unblock(package: &Package, strand: u64) -> Result<(), Silent> {
    let told = Unblock { package: package.number(), reserved: 0, strand: Strand::from_word(strand) };
    UNBLOCK.raise(&told).map_err(silent)?;
    is_there(package)
}

/// The intrinsic handler answers for one that was cut; its domain has failed then.
fn is_there(package: &Package) -> Result<(), Silent> {
    if package.domain().is_none_or(|domain| domain.is_open()) { Ok(()) } else { Err(Silent::Failed) }
}

fn silent(error: dispatcher::RaiseError) -> Silent {
    match error {
        dispatcher::RaiseError::OutOfStack => Silent::NoRoom,
        _ => Silent::Failed,
    }
}
