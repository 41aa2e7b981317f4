//! Bringing the other cores up, each with stacks, tables and an area of its own.

use alloc::boxed::Box;
use core::ptr;

use smp::bringup::{Launcher, Seat};
use smp::clock::now_ns;
use smp::topology::Topology;
use smp::{CoreArea, apic, roster};

use super::ground::LowGround;
use super::local::{self, Local};
use crate::memory::{MapError, Stack};
use crate::trap::{self, CoreTables, Stacks};
use crate::{boot, layout};

/// The stack on which a core starts, and idles, in bytes.
const STACK_SIZE: usize = 64 << 10;
/// How long a core may take to come up. On a virtual machine it may have to wait for a processor first.
const TIMEOUT_NS: u64 = 2_000_000_000;

/// What a core takes over when it comes up.
struct Arrival {
    area: &'static CoreArea<Local>,
    tables: &'static mut CoreTables,
    stacks: Stacks,
    run: fn(usize) -> !,
}

/// Brings up all cores of `topology` but the first, which is this one; each goes to `run` with its id. One that does not
/// come is told in the log and passed over, and the ids stay dense.
pub(super) fn others(topology: &Topology, run: fn(usize) -> !) {
    let begin_ns = now_ns();
    let Some((_, others)) = topology.cores.split_first().filter(|(_, others)| !others.is_empty()) else {
        return ::log::info!("1 core");
    };
    let Some(ground) = LowGround::take() else {
        return ::log::error!("no free page below 1 MiB to start cores at; going on with one");
    };
    let mut launcher = match Launcher::new(ground) {
        Ok(launcher) => launcher,
        Err(error) => return ::log::error!("{error}; going on with one core"),
    };
    let mut next = 1;
    for &apic_id in others {
        let seat = match seat(next, apic_id, run) {
            Ok(seat) => seat,
            Err(error) => {
                ::log::error!("no stacks for core {next}: {error}");
                break;
            }
        };
        // SAFETY: the seat's stack and argument were made for this core alone, and kept for ever; `arrive` takes the
        // argument that `seat` makes; and the core waits to be started, as firmware left it.
        match unsafe { launcher.start(&seat, TIMEOUT_NS) } {
            Ok(()) => next += 1,
            Err(error) => ::log::error!("{error}"),
        }
    }
    let took_us = (now_ns() - begin_ns) / 1_000;
    ::log::info!("{} of {} cores, in {}.{:03} ms", next, others.len() + 1, took_us / 1_000, took_us % 1_000);
}

/// All that core `core` needs. Its own for ever, even where it does not come up: it might yet.
fn seat(core: usize, apic_id: u32, run: fn(usize) -> !) -> Result<Seat, MapError> {
    let stack_top = stack(STACK_SIZE)?;
    let trap_stack = || stack(layout::TRAP_STACK_SIZE as usize);
    let stacks = Stacks {
        page_fault: trap_stack()?,
        double_fault: trap_stack()?,
        nmi: trap_stack()?,
        machine_check: trap_stack()?,
        interrupt: trap_stack()?,
    };
    let area = Box::leak(Box::new(CoreArea::new(core, apic_id, Local::new())));
    let tables = Box::leak(Box::new(CoreTables::new()));
    let arrival = Box::into_raw(Box::new(Arrival { area, tables, stacks, run }));
    Ok(Seat { core, apic_id, stack_top, entry: arrive, argument: arrival.expose_provenance() })
}

/// A stack for ever: the address above it.
fn stack(size: usize) -> Result<u64, MapError> {
    let stack = Stack::new(size)?;
    let top = stack.top().as_u64();
    core::mem::forget(stack);
    Ok(top)
}

/// Where a core arrives, on its own stack, in the kernel's page tables, interrupts masked.
extern "C" fn arrive(arrival: usize) -> ! {
    let arrival = ptr::with_exposed_provenance_mut::<Arrival>(arrival);
    // SAFETY: `seat` made it with `Box::into_raw`, for this core, which comes here once.
    let arrival = unsafe { Box::from_raw(arrival) };
    // First of all: what comes next frees memory, and that asks which core this is.
    // SAFETY: this core's alone, a `CoreArea<Local>` as every one; no GS selector is loaded from here on.
    unsafe { arrival.area.install() };
    let Arrival { area, tables, stacks, run } = *arrival;
    trap::init(tables, &stacks);
    boot::features::enable();
    local::enter(area);
    // SAFETY: the 8259s are masked since the boot core's start, and the handlers are set.
    if let Err(error) = unsafe { apic::enable() } {
        panic!("{error}");
    }
    roster::set_online(area.id(), area.apic_id());
    run(area.id())
}
