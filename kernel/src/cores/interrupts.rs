//! The cores' interrupt handlers. Each runs with interrupts masked, and acknowledges before it lets the scheduler take the
//! core away from the interrupted strand: it may be long before that one returns.

use smp::apic::end_of_interrupt;

use super::local::{count, local};
use super::vectors;
use crate::hook::Hook;
use crate::trap::{self, Frame};
use crate::{exit, serial};

static ON_TIMER: Hook<fn()> = Hook::new();
static ON_KICK: Hook<fn()> = Hook::new();
static LAST: Hook<fn()> = Hook::new();
static LATE: Hook<fn(&mut Frame)> = Hook::new();

/// What the scheduler does in interrupts, masked, each time after the acknowledgement.
pub struct Scheduler {
    /// This core's timer went off.
    pub timer: fn(),
    /// Another core has put something on this one's queue.
    pub kick: fn(),
    /// The last act: may take the core from the interrupted strand, and so return much later, on another core.
    pub last: fn(),
}

/// Puts the scheduler in its place. Until then interrupts are only counted.
pub fn set_scheduler(scheduler: Scheduler) {
    ON_TIMER.set(scheduler.timer);
    ON_KICK.set(scheduler.kick);
    LAST.set(scheduler.last);
}

/// `filter` sees what each timer interrupt and each call of another core interrupted, and may change where
/// that goes on.
pub fn set_late_filter(filter: fn(&mut Frame)) {
    LATE.set(filter);
}

fn look_at(frame: &mut Frame) {
    if let Some(filter) = LATE.get() {
        filter(frame);
    }
}

fn run(hook: &Hook<fn()>) {
    if let Some(procedure) = hook.get() {
        procedure();
    }
}

/// Sets the handlers, the same for all cores.
pub(super) fn install() {
    trap::set_handler(vectors::TIMER, timer);
    trap::set_handler(vectors::KICK, kick);
    trap::set_handler(vectors::CALL, call);
    trap::set_handler(vectors::SERIAL, serial_input);
    trap::set_handler(vectors::APIC_ERROR, apic_error);
    trap::set_handler(vectors::SPURIOUS, |_| ());
    trap::set_handler(trap::NMI, nmi);
}

fn timer(frame: &mut Frame) {
    count(&local().ticks);
    end_of_interrupt();
    run(&ON_TIMER);
    look_at(frame);
    run(&LAST);
}

fn kick(_frame: &mut Frame) {
    count(&local().kicks);
    end_of_interrupt();
    run(&ON_KICK);
    run(&LAST);
}

fn call(frame: &mut Frame) {
    count(&local().calls);
    smp::call::serve();
    end_of_interrupt();
    look_at(frame);
}

fn serial_input(_frame: &mut Frame) {
    serial::receive();
    end_of_interrupt();
    run(&LAST);
}

fn apic_error(_frame: &mut Frame) {
    end_of_interrupt();
    ::log::warn!("the local APIC reports an error");
}

/// An NMI is the order to stop, or the hardware's: that one is told and survived.
fn nmi(_frame: &mut Frame) {
    if smp::call::is_stopping() {
        exit::halt();
    }
    ::log::warn!("a non-maskable interrupt of unknown origin");
}
