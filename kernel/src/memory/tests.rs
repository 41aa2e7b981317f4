//! Tests inside the booted kernel: each maps or allocates, attacks what must not be possible, and
//! finds the counts exactly as they were.

extern crate alloc;

use ::memory::{FrameRange, PAGE_SIZE};
use alloc::vec::Vec;
use core::alloc::Layout;
use core::{hint, mem, ptr};
use x86_64::VirtAddr;
use x86_64::structures::paging::PageTableFlags as Flags;

use super::audit::AuditError;
use super::tables::TABLES;
use super::{Access, ImageError, ImageSpace, MapError, Stack};
use super::{FRAMES, audit, domain_heap, drain, guard_of, map_mmio, stats, text};
use crate::ktest::ktest;
use crate::layout;

/// Runs `work` and demands that it leaves frames and bytes as they were, and the tables in order.
/// Other strands may allocate and free meanwhile, but not in the same way each time: a leak would.
fn leaves_no_trace(work: impl Fn()) {
    let mut runs = (0..20).map(|_| {
        drain();
        let before = stats();
        work();
        drain();
        (before, stats())
    });
    let comes_back = runs.any(|(before, after)| before == after);
    audit().expect("the page tables are in order");
    assert!(comes_back, "something did not come back");
}

fn rights(address: VirtAddr) -> Option<Flags> {
    let leaf = TABLES.with(|tables| tables.leaf(address));
    leaf.map(|(entry, _)| entry.flags() & (Flags::WRITABLE | Flags::NO_EXECUTE))
}

/// Physical memory by the direct map.
fn first_word(physical: u64) -> *mut u64 {
    ptr::with_exposed_provenance_mut(layout::direct(physical) as usize)
}

#[ktest]
fn frames_return() {
    leaves_no_trace(|| {
        let frames: Vec<_> = (0..300).map(|_| FRAMES.alloc().unwrap()).collect();
        for frame in &frames {
            // SAFETY: the frame is ours, and the direct map maps it writable.
            unsafe { first_word(frame.address()).write_volatile(!frame.address()) };
        }
        frames.into_iter().for_each(|frame| FRAMES.free(frame));
    });
}

#[ktest]
fn heap_grows_and_shrinks() {
    leaves_no_trace(|| {
        let claimed = stats().heap.claimed;
        let mut blocks = Vec::new();
        while stats().heap.claimed == claimed {
            blocks.push(alloc::vec![7_u8; 50_000]);
        }
        assert!(blocks.iter().all(|block| block[49_999] == 7));
    });
    leaves_no_trace(|| {
        let heap = domain_heap(1 << 20);
        while heap.allocate(Layout::new::<[u64; 100]>()).is_ok() {}
        assert_eq!(heap.counts().frames, 256);
    });
}

#[ktest]
fn stack_has_a_guard() {
    leaves_no_trace(|| {
        let stack = Stack::new(3 * PAGE_SIZE - 5).unwrap();
        assert_eq!(stack.size(), 3 * PAGE_SIZE);
        let lowest = ptr::with_exposed_provenance_mut::<u8>(stack.bottom().as_u64() as usize);
        // SAFETY: the stack is mapped and nobody uses it.
        unsafe { lowest.write_volatile(1) };
        assert_eq!(rights(stack.bottom()), Some(Flags::WRITABLE | Flags::NO_EXECUTE));
        assert_eq!(rights(stack.bottom() - 1), None);
        assert_eq!(rights(stack.top()), None);
        let guard = guard_of(stack.bottom() - 1).expect("just below the stack");
        assert_eq!((guard.bottom, guard.top), (stack.bottom(), stack.top()));
        assert_eq!(guard_of(stack.bottom()), None);
        assert_eq!(guard_of(stack.top()), None);
    });
    for stack in layout::boot_stacks() {
        assert_eq!(rights(VirtAddr::new(stack.range.start - 1)), None, "{}", stack.name);
    }
    assert_eq!(Stack::new(0).unwrap_err(), MapError::BadSize);
    assert_eq!(Stack::new(1 << 20).unwrap_err(), MapError::BadSize);
}

#[ktest]
fn many_stacks_return() {
    leaves_no_trace(|| {
        let mut stacks: Vec<_> =
            (1..200).map(|pages| Stack::new((pages % 8 + 1) * PAGE_SIZE).unwrap()).collect();
        // Out of order, so that page tables empty at odd times.
        while !stacks.is_empty() {
            stacks.swap_remove(stacks.len() / 2);
        }
    });
}

#[ktest]
fn mmio_is_uncached() {
    leaves_no_trace(|| {
        // The local APIC's page, which every machine has: a version register.
        let apic = map_mmio(0xfee0_0030, 4).unwrap();
        assert_eq!(apic.address().as_u64() % PAGE_SIZE as u64, 0x30);
        let (leaf, _) = TABLES.with(|tables| tables.leaf(apic.address())).unwrap();
        assert!(leaf.flags().contains(Flags::NO_CACHE | Flags::NO_EXECUTE));
        let register = ptr::with_exposed_provenance::<u32>(apic.address().as_u64() as usize);
        // SAFETY: the register can be read without effect.
        _ = unsafe { register.read_volatile() };
        assert_eq!(map_mmio(0, 0).unwrap_err(), MapError::BadSize);
        assert_eq!(map_mmio(u64::MAX - 1, 4).unwrap_err(), MapError::BadSize);
    });
}

#[ktest]
fn image_runs_and_returns() {
    leaves_no_trace(|| {
        let mut image = ImageSpace::reserve(40).unwrap();
        // `mov eax, 42; ret`, then a page of constants, and data.
        let mut bytes = alloc::vec![0xcc; 2 * PAGE_SIZE + 8];
        bytes[..6].copy_from_slice(&[0xb8, 42, 0, 0, 0, 0xc3]);
        let segments = [(0..1, Access::ReadExecute), (1..2, Access::ReadOnly), (3..40, Access::ReadWrite)];
        image.populate(&bytes, &segments).unwrap();

        let base = image.base();
        // SAFETY: the bytes are a function of this type, mapped executable.
        let function: extern "C" fn() -> u32 =
            unsafe { mem::transmute(ptr::with_exposed_provenance::<()>(base.as_u64() as usize)) };
        assert_eq!(hint::black_box(function)(), 42);

        let page = |index: u64| base + index * PAGE_SIZE as u64;
        assert_eq!(rights(base - 1), None);
        assert_eq!(rights(base), Some(Flags::empty()));
        assert_eq!(rights(page(1)), Some(Flags::NO_EXECUTE));
        assert_eq!(rights(page(2)), None);
        assert_eq!(rights(page(39)), Some(Flags::WRITABLE | Flags::NO_EXECUTE));
        assert_eq!(rights(page(40)), None);
        // The same frame in the direct map.
        let frame = TABLES.with(|tables| tables.leaf(base)).unwrap().0.physical();
        assert_eq!(rights(VirtAddr::new(layout::direct(frame))), Some(Flags::NO_EXECUTE));
        audit().expect("nothing is writable and executable");
        assert_eq!(image.populate(&[], &[]), Err(ImageError::Twice));
    });
}

#[ktest]
fn images_refuse_nonsense() {
    leaves_no_trace(|| {
        assert_eq!(ImageSpace::reserve(0).unwrap_err(), MapError::BadSize);
        assert_eq!(ImageSpace::reserve(1 << 30).unwrap_err(), MapError::WindowFull);
        let mut image = ImageSpace::reserve(2).unwrap();
        let long = alloc::vec![0; 2 * PAGE_SIZE + 1];
        assert_eq!(image.populate(&long, &[]), Err(ImageError::TooLong));
        let mut image = ImageSpace::reserve(2).unwrap();
        let overlap = [(0..2, Access::ReadExecute), (1..2, Access::ReadWrite)];
        assert_eq!(image.populate(&[1], &overlap), Err(ImageError::BadSegment(1)));
        assert_eq!(rights(image.base()), None);
        let mut image = ImageSpace::reserve(2).unwrap();
        assert_eq!(image.populate(&[], &[(1..3, Access::ReadOnly)]), Err(ImageError::BadSegment(2)));
    });
}

#[ktest]
fn text_blocks_return() {
    leaves_no_trace(|| {
        // More code than one block holds.
        let (blocks, _) = text::counts();
        let images: Vec<_> = (0..3)
            .map(|_| {
                let mut image = ImageSpace::reserve(300).unwrap();
                image.populate(&[0xc3], &[(0..300, Access::ReadExecute)]).unwrap();
                image
            })
            .collect();
        assert!(text::counts().0 > blocks);
        audit().expect("nothing is writable and executable");
        drop(images);
        assert_eq!(text::counts().0, blocks);
    });
}

/// All free memory but what the heap has, as a list of ranges through their own first words, so that
/// keeping it takes none.
struct Hoard(u64);

impl Hoard {
    fn take_all(&mut self) {
        for order in (0..=16).rev() {
            while let Ok(range) = FRAMES.alloc_range(order) {
                // SAFETY: the range is ours, and the direct map maps it writable.
                unsafe { first_word(range.address()).write(self.0) };
                self.0 = range.address() | u64::from(order);
            }
        }
    }

    /// Demands that `work` finds no memory. Other strands may free some meanwhile: then once more.
    fn starves<T, E>(&mut self, mut work: impl FnMut() -> Result<T, E>) -> Option<E> {
        (0..20).find_map(|_| {
            self.take_all();
            work().err()
        })
    }
}

impl Drop for Hoard {
    fn drop(&mut self) {
        while self.0 != 0 {
            let (address, order) = (self.0 & !0xff, self.0 as u8);
            // SAFETY: the range is ours and begins with the next one's address and order.
            self.0 = unsafe { first_word(address).read() };
            // SAFETY: the range was taken by `take_all`, and is freed once.
            FRAMES.free_range(unsafe { FrameRange::from_address(address, order) });
        }
    }
}

/// Without memory everything must say so, and take nothing.
#[ktest]
fn exhaustion_is_an_error() {
    leaves_no_trace(|| {
        let mut hoard = Hoard(0);
        assert_eq!(hoard.starves(|| Stack::new(PAGE_SIZE)).unwrap(), MapError::OutOfFrames);
        // More than one page table covers, so that one that is there already is not enough.
        let registers = || map_mmio(0xe000_0000, 4 << 20);
        assert_eq!(hoard.starves(registers).unwrap(), MapError::OutOfFrames);
        let load = || {
            let mut image = ImageSpace::reserve(600)?;
            image.populate(&[], &[(0..600, Access::ReadExecute)])
        };
        assert_eq!(hoard.starves(load).unwrap(), ImageError::Map(MapError::OutOfFrames));
        let domain = domain_heap(1 << 20);
        assert!(hoard.starves(|| domain.allocate(Layout::new::<[u8; 50_000]>())).is_some());
        assert!(hoard.starves(|| Vec::<u8>::new().try_reserve(1 << 30)).is_some());
    });
}

/// The audit is worth something only if it notices.
#[ktest]
fn audit_finds_a_writable_alias() {
    leaves_no_trace(|| {
        let mut image = ImageSpace::reserve(1).unwrap();
        image.populate(&[0xc3], &[(0..1, Access::ReadExecute)]).unwrap();
        let frame = TABLES.with(|tables| tables.leaf(image.base())).unwrap().0.physical();
        let alias = VirtAddr::new(layout::direct(frame)).align_down(2_u64 << 20);
        TABLES.with(|tables| tables.protect(alias, Access::ReadWrite));
        assert_eq!(audit(), Err(AuditError::WritableAlias(alias)));
        TABLES.with(|tables| tables.protect(alias, Access::ReadOnly));
    });
}
