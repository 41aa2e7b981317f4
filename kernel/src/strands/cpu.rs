//! The machine, as the dispatcher and the scheduler want it.

use dispatcher::{Border, Dispatcher, Processor, epoch::MOST_CORES, post::Agenda, retire::RetireList};
use sched::{
    Builder, Core, Machine, Scheduler,
    package::{ExitReason, Next, Reason, Silent, Why},
};
use x86_64::instructions::interrupts;

use super::{Package, context, housekeeper, packages, stacks, workers};
use crate::{
    cores::{self, words},
    events::strands as events,
    memory::Stack,
};

/// This machine's cores.
pub struct Cpu;

static SCHEDULER: Scheduler<Cpu> = Scheduler::new();
static RETIRED: RetireList = RetireList::new();
static AGENDAS: [Agenda; MOST_CORES] = [const { Agenda::new() }; MOST_CORES];

impl Cpu {
    pub(super) fn add(core_id: usize, dispatcher: Dispatcher) {
        SCHEDULER.add_core(core_id, dispatcher, Builder::idle(core_id));
        let part = SCHEDULER.core(core_id).expect("it was just added");
        words::set_scheduled(core::ptr::from_ref(part).cast());
    }
}

// SAFETY: `top` and the end of the stack are words of the core's area that are reached by single
// instructions and that `sched` saves and restores with the strand; `masked` masks interrupts.
unsafe impl Processor for Cpu {
    #[inline(always)]
    fn top() -> *mut Border {
        words::top()
    }

    #[inline(always)]
    fn set_top(border: *mut Border) {
        words::set_top(border);
    }

    #[inline(always)]
    fn has_room(border: &Border) -> bool {
        words::has_room(border)
    }

    #[inline(always)]
    fn core_id() -> usize {
        smp::core_id()
    }

    fn now_ns() -> u64 {
        smp::clock::now_ns()
    }

    fn wait_until(is_done: &dyn Fn() -> bool) {
        sched::wait_until::<Self>(is_done);
    }

    fn keep_ticking() {
        sched::keep_ticking::<Self>();
    }

    #[inline(always)]
    fn masked<T>(body: impl FnOnce() -> T) -> T {
        interrupts::without_interrupts(body)
    }

    #[inline(always)]
    fn unpreempted<T>(body: impl FnOnce() -> T) -> T {
        words::hold_preemption();
        let result = body();
        words::release_preemption();
        // A preemption that came due meanwhile is made up for, where interrupts are let in at all. One that
        // comes due from here on is the business of whoever makes it so.
        if sched::is_due::<Self>() && words::is_preemptible() && interrupts::are_enabled() {
            Self::masked(sched::preempt_if_due::<Self>);
        }
        result
    }

    fn repin() {
        sched::repin::<Self>();
    }

    fn retired() -> &'static RetireList {
        &RETIRED
    }

    fn summon_keeper() {
        housekeeper::summon();
    }

    fn agenda(core: usize) -> Option<&'static Agenda> {
        SCHEDULER.core(core).map(|_| &AGENDAS[core])
    }

    fn summon_worker(core: usize) {
        workers::summon(core);
    }
}

// SAFETY: the core's number is in its area, `switch` saves what the calling convention asks for, and
// stacks are unmapped only when `reap` drops them.
unsafe impl Machine for Cpu {
    type Stack = Stack;

    #[inline(always)]
    fn scheduler() -> &'static Scheduler<Self> {
        &SCHEDULER
    }

    #[inline(always)]
    fn core() -> &'static Core<Self> {
        // SAFETY: the core was given its part, which stays for ever, before it ran its first strand.
        unsafe { &*words::scheduled().cast::<Core<Self>>() }
    }

    #[inline(always)]
    fn mask() -> bool {
        let were_in = interrupts::are_enabled();
        if were_in {
            interrupts::disable();
        }
        were_in
    }

    #[inline(always)]
    fn restore(were_in: bool) {
        if were_in {
            interrupts::enable();
        }
    }

    #[inline(always)]
    fn ticks() -> u64 {
        smp::clock::ticks()
    }

    fn ns_in(ticks: u64) -> u64 {
        smp::clock::ns_in(ticks)
    }

    fn prepare(stack: &mut Stack, entry: extern "C" fn() -> !) -> usize {
        context::prepare(stack, entry)
    }

    #[inline]
    fn keep_stack(stack: Stack) -> Option<Stack> {
        stacks::keep(stack)
    }

    fn stack_bottom(stack: &Stack) -> usize {
        stack.bottom().as_u64() as usize
    }

    fn set_stack_bottom(bottom: usize) {
        words::set_stack_bottom(bottom);
    }

    unsafe fn switch(save: *mut usize, load: usize) {
        // SAFETY: passed on.
        unsafe { context::switch(save, load) }
    }

    fn unmask() {
        interrupts::enable();
    }

    fn is_preemptible() -> bool {
        words::is_preemptible()
    }

    fn kick(core: usize) {
        cores::kick(core);
    }

    fn set_timer(deadline_ns: Option<u64>) {
        cores::set_timer(deadline_ns);
    }

    fn halt() {
        smp::idle::halt_until_interrupt();
        interrupts::disable();
    }

    fn summon_reaper() {
        housekeeper::summon();
    }

    fn raise_resume(package: &Package, core: usize) -> Result<Next, Silent> {
        events::resume(package, core)
    }

    fn raise_checkpoint(package: &Package, core: usize, strand: u64, why: Why) -> Result<(), Silent> {
        events::checkpoint(package, core, strand, why)
    }

    fn raise_block(package: &Package, core: usize, strand: u64, reason: Reason) -> Result<u64, Silent> {
        events::block(package, core, strand, reason)
    }

    fn raise_unblock(package: &Package, strand: u64) -> Result<(), Silent> {
        events::unblock(package, strand)
    }

    fn package_ejected(package: &Package, reason: ExitReason) {
        packages::ejected(package, reason);
    }
}
