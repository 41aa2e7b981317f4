//! Falling over on command (`fault=NAME`), so that tests can see how it is told.

use core::arch::asm;
use core::fmt;
use core::hint::black_box;
use core::ptr;

use crate::layout;

/// Falls over in the way that `name` says, or tells which ways there are.
pub fn raise(name: &str) {
    let (_, fall) = match FAULTS.iter().find(|(known, _)| *known == name) {
        Some(fault) => fault,
        None => {
            log::error!("no fault is called `{name}`: there are {}", Names);
            return;
        }
    };
    fall();
}

/// How to fall, and what it is called.
const FAULTS: [(&str, fn()); 10] = [
    ("page", page),
    ("opcode", opcode),
    ("division", division),
    ("protection", protection),
    ("breakpoint", breakpoint),
    ("stack", stack),
    ("double", double),
    ("panic", || panic!("as the command line asked")),
    ("log", || log::info!("{}", Bomb(1))),
    ("panic-in-panic", || panic!("{}", Bomb(2))),
];

struct Names;

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        FAULTS.iter().try_for_each(|(name, _)| write!(f, "{name} "))
    }
}

fn page() {
    let nowhere = ptr::with_exposed_provenance_mut::<u64>((layout::STACKS + 0x1238) as usize);
    // SAFETY: not at all: the address is mapped to nothing, which is the point.
    unsafe { nowhere.write_volatile(1) };
}

fn opcode() {
    // SAFETY: an instruction that is defined to be undefined; it changes nothing.
    unsafe { asm!("ud2") };
}

fn division() {
    // SAFETY: faults before it changes anything but the clobbered registers.
    unsafe { asm!("xor ecx, ecx", "div ecx", out("eax") _, out("ecx") _, out("edx") _) };
}

fn protection() {
    let not_canonical = ptr::with_exposed_provenance_mut::<u64>(0x8000_0000_0000_0000);
    // SAFETY: not at all: no address space has this address, which is the point.
    unsafe { not_canonical.write_volatile(1) };
}

fn breakpoint() {
    x86_64::instructions::interrupts::int3();
}

fn stack() {
    fn dig(depth: u64) -> u64 {
        let ballast = black_box([depth; 64]);
        // Endless, though the compiler cannot know.
        let below = if black_box(true) { dig(depth + 1) } else { 0 };
        below + ballast[(depth % 64) as usize]
    }
    black_box(dig(0));
}

fn double() {
    // SAFETY: not at all: without a stack even telling of the division error
    // fails, and the processor turns to the double fault's own stack.
    unsafe { asm!("mov rsp, {}", "xor ecx, ecx", "div ecx", in(reg) 1_u64 << 63, options(noreturn)) };
}

/// Panics when displayed, the given number of times over.
struct Bomb(u32);

impl fmt::Display for Bomb {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("a Display that panics{}", if self.0 > 1 { ", within a panic" } else { "" })
    }
}
