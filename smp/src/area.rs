//! Per-core areas: what a core finds behind its GS base.
//!
//! The fields of an area are reached by single GS-relative instructions, which neither preemption nor an interrupt can
//! split: `inc dword ptr gs:[OFFSET]` counts on whichever core it runs, wholly. Offsets are constants of the user's:
//! `offset_of!(CoreArea<Local>, local.depth)`.

use core::arch::asm;
use core::mem::offset_of;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use x86_64::VirtAddr;
use x86_64::registers::model_specific::GsBase;

use crate::MAX_CORES;

/// A core's own area; `T` is the kernel's part of it.
#[derive(Debug)]
#[repr(C)]
pub struct CoreArea<T> {
    /// This area's own address, so that `mov reg, gs:[0]` finds it.
    this: AtomicPtr<Self>,
    id: u32,
    apic_id: AtomicU32,
    /// The kernel's own part.
    pub local: T,
}

/// Where [`core_id`] finds the id, whatever the kernel's part is.
const ID: usize = offset_of!(CoreArea<()>, id);
const _: () = assert!(offset_of!(CoreArea<()>, this) == 0);
// The alignment of the kernel's part moves that part, and nothing before it.
const _: () = assert!(offset_of!(CoreArea<[Line; 1]>, id) == ID);

/// Something of a cache line's alignment, for the assertion above.
#[repr(align(64))]
struct Line;

impl<T> CoreArea<T> {
    /// An area for core `id`. It can stand in a static, as the boot core's must.
    ///
    /// # Panics
    /// Where there can be no such core.
    pub const fn new(id: usize, apic_id: u32, local: T) -> Self {
        assert!(id < MAX_CORES);
        Self { this: AtomicPtr::new(ptr::null_mut()), id: id as u32, apic_id: AtomicU32::new(apic_id), local }
    }

    /// This core's id, dense from 0.
    pub const fn id(&self) -> usize {
        self.id as usize
    }

    /// The APIC id that the area was made with, or that was set since.
    pub fn apic_id(&self) -> u32 {
        // Relaxed: set before the core comes online, which publishes it.
        self.apic_id.load(Ordering::Relaxed)
    }

    /// Sets the APIC id; for the boot core, which learns it after its area is in use.
    pub fn set_apic_id(&self, apic_id: u32) {
        // Relaxed: see `apic_id`.
        self.apic_id.store(apic_id, Ordering::Relaxed);
    }

    /// Makes this the running core's area.
    ///
    /// # Safety
    /// No other core uses this area, and every `current::<U>()` of this kernel is with this `T`. The GS selector must not
    /// be loaded afterwards: that would reset the base.
    pub unsafe fn install(&'static self) {
        // Relaxed: only this core follows the pointer.
        self.this.store(ptr::from_ref(self).cast_mut(), Ordering::Relaxed);
        GsBase::write(VirtAddr::from_ptr(self));
    }
}

/// The running core's area. Under preemption it may be another core's by the time it is used: for what must be this
/// core's, mask interrupts or preemption, or use one GS-relative instruction.
///
/// # Safety
/// An area of this very `T` is [installed](CoreArea::install) on the running core.
#[inline]
pub unsafe fn current<T>() -> &'static CoreArea<T> {
    let this: *const CoreArea<T>;
    // SAFETY: the caller promises that GS leads to an area, whose first word this is; the asm touches nothing else.
    unsafe { asm!("mov {}, gs:[0]", out(reg) this, options(nostack, preserves_flags, readonly)) };
    // SAFETY: `install` was given a `&'static CoreArea<T>` and stored its address there.
    unsafe { &*this }
}

/// The running core's id: one GS-relative load, so it is right at the moment of the load, preemption or not.
///
/// An area must be [installed](CoreArea::install) on this core, which is the first thing that a core does.
#[inline]
pub fn core_id() -> usize {
    let id: u32;
    // SAFETY: a kernel installs an area before anything else runs on a core (the contract of this crate), so the load is
    // from that area. Not `pure`: the compiler must not merge two of them across a point of preemption.
    unsafe { asm!("mov {:e}, gs:[{}]", out(reg) id, const ID, options(nostack, preserves_flags, readonly)) };
    id as usize
}
