//! What is saved of the code that a trap interrupts.

use core::fmt;

/// All general registers, as `entry.s` pushes them, then what the processor
/// pushed. What a handler changes here holds when the interrupted code goes on.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Frame {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rbp: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rdx: u64,
    pub rcx: u64,
    pub rbx: u64,
    pub rax: u64,
    /// Which of the 256 entries it was.
    pub vector: u64,
    /// The exception's error code; 0 where it has none.
    pub error_code: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

// `entry.s` finds these words by number, and copies so many.
const _: () = assert!(core::mem::offset_of!(Frame, vector) == 15 * 8);
const _: () = assert!(core::mem::offset_of!(Frame, rip) == 17 * 8);
const _: () = assert!(core::mem::offset_of!(Frame, rsp) == 20 * 8);
const _: () = assert!(size_of::<Frame>() == 22 * 8);

/// The registers, four to a line.
impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, .. } = self;
        let Self { r8, r9, r10, r11, r12, r13, r14, r15, .. } = self;
        let Self { rip, rflags, cs, ss, .. } = self;
        writeln!(f, "rax {rax:016x}  rbx {rbx:016x}  rcx {rcx:016x}  rdx {rdx:016x}")?;
        writeln!(f, "rsi {rsi:016x}  rdi {rdi:016x}  rbp {rbp:016x}  rsp {rsp:016x}")?;
        writeln!(f, "r8  {r8:016x}  r9  {r9:016x}  r10 {r10:016x}  r11 {r11:016x}")?;
        writeln!(f, "r12 {r12:016x}  r13 {r13:016x}  r14 {r14:016x}  r15 {r15:016x}")?;
        write!(f, "rip {rip:016x}  flags {rflags:014x}  cs {cs:#06x}  ss {ss:#06x}")
    }
}
