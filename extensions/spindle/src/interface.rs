//! Imports: how a spindle names what it wants, and the slots through which it calls.
//!
//! Each procedure that a spindle uses leaves one [`Import`] in the object's section
//! `whorl_imports`: the name, the signature, a hash of it, and a *slot*, an atomic word that holds the
//! address to call. The slot is loaded anew at each call, so the kernel can re-bind it while other
//! cores call through it. Until it is bound it holds a stub of the procedure's own type that returns
//! [`Error::Unbound`](crate::Error::Unbound): there is no wild jump to be had.

use core::sync::atomic::{AtomicUsize, Ordering};

/// What an import asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Kind {
    /// A procedure: the slot holds its address.
    Procedure = 0,
    /// An event: the slot holds the kernel's number for it; while unbound, an address that is none.
    Event = 1,
}

/// A text in an object file.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Str {
    start: *const u8,
    length: usize,
}

impl Str {
    /// Of a text that is part of the object.
    #[must_use]
    pub const fn new(text: &'static str) -> Self {
        Self { start: text.as_ptr(), length: text.len() }
    }
}

/// One import, as it lies in the object file. The kernel's reader knows this layout.
#[repr(C)]
pub struct Import {
    name: Str,
    signature: Str,
    hash: u64,
    slot: AtomicUsizeOrStub,
    kind: Kind,
    reserved: u32,
}

const _: () = assert!(size_of::<Import>() == 56, "the reader of objects counts on it");

/// The slot: a word that the kernel writes while others load it. In the file it holds the stub.
#[repr(C)]
union AtomicUsizeOrStub {
    word: core::mem::ManuallyDrop<AtomicUsize>,
    stub: *const (),
}

// SAFETY: the texts are constant, and the slot is only used as an atomic word once it is shared.
unsafe impl Sync for Import {}

impl Import {
    /// An import by the name of `Interface.Name`, whose slot holds `stub` until it is bound.
    #[must_use]
    pub const fn new(
        name: &'static str,
        signature: &'static str,
        hash: u64,
        kind: Kind,
        stub: *const (),
    ) -> Self {
        Self {
            name: Str::new(name),
            signature: Str::new(signature),
            hash,
            slot: AtomicUsizeOrStub { stub },
            kind,
            reserved: 0,
        }
    }

    /// What the slot holds now. Cost: an address and a load, which the compiler takes out of no loop.
    #[inline(always)]
    pub fn load(&self) -> usize {
        // SAFETY: both members are one word, and every bit pattern is a word.
        let word: &AtomicUsize = unsafe { &self.slot.word };
        // Acquire: pairs with the Release of the kernel's store; what the address leads to is there.
        unknown(word).load(Ordering::Acquire)
    }
}

/// The same reference, of which the compiler knows nothing any more. Nothing in the object ever writes
/// to a slot, so without this it would take the stub that stands in it for its value for ever.
#[inline(always)]
fn unknown(word: &AtomicUsize) -> &AtomicUsize {
    let mut pointer = core::ptr::from_ref(word);
    // SAFETY: no instruction at all; the pointer comes out as it went in, and what it points to may
    // have been written by somebody else, as is an atomic's nature.
    unsafe { core::arch::asm!("/* {0} */", inout(reg) pointer, options(nostack, preserves_flags)) };
    // SAFETY: the pointer is the reference's.
    unsafe { &*pointer }
}

/// What an event's slot points to while it is bound to nothing. Nobody calls it.
pub extern "C" fn no_event() {}

/// FNV-1a over a signature's text, and the sizes and alignments of its types.
///
/// Two compilations of one declaration agree on it, whatever else they link; two declarations that
/// differ in a name, a type or a layout do not.
#[must_use]
pub const fn signature_hash(text: &str, layouts: &[(usize, usize)]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < text.len() {
        hash = fnv(hash, text.as_bytes()[at] as u64);
        at += 1;
    }
    at = 0;
    while at < layouts.len() {
        hash = fnv(fnv(hash, layouts[at].0 as u64), layouts[at].1 as u64);
        at += 1;
    }
    hash
}

const fn fnv(hash: u64, word: u64) -> u64 {
    (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3)
}

/// A signature on one line: the compiler breaks what it spells out where it finds it long.
#[doc(hidden)]
#[macro_export]
macro_rules! one_line {
    ($text:expr) => {{
        const TEXT: &str = $text;
        const LINE: [u8; $crate::interface::line_length(TEXT)] = $crate::interface::line(TEXT);
        match $crate::core_::str::from_utf8(&LINE) {
            Ok(line) => line,
            Err(_) => panic!("no byte but blanks was changed"),
        }
    }};
}

/// How long `text` is with one blank for each run of blanks and line ends.
#[doc(hidden)]
#[must_use]
pub const fn line_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut length) = (0, 0);
    while at < bytes.len() {
        if !(bytes[at].is_ascii_whitespace() && at > 0 && bytes[at - 1].is_ascii_whitespace()) {
            length += 1;
        }
        at += 1;
    }
    length
}

/// `text` with one blank for each run of blanks and line ends.
#[doc(hidden)]
#[must_use]
pub const fn line<const LENGTH: usize>(text: &str) -> [u8; LENGTH] {
    let bytes = text.as_bytes();
    let mut line = [b' '; LENGTH];
    let (mut at, mut length) = (0, 0);
    while at < bytes.len() {
        let is_blank = bytes[at].is_ascii_whitespace();
        if !(is_blank && at > 0 && bytes[at - 1].is_ascii_whitespace()) {
            line[length] = if is_blank { b' ' } else { bytes[at] };
            length += 1;
        }
        at += 1;
    }
    line
}

/// A procedure of an interface, for the side that implements it.
pub trait Procedure {
    /// The type of its implementation.
    type Implementation: Copy;
    /// `Interface.Name`.
    const NAME: &'static str;
    /// What both sides must agree on, for people.
    const SIGNATURE: &'static str;
    /// What both sides must agree on.
    const HASH: u64;
}

/// Declares an interface's procedures: for each, a function that calls through a slot, and a type
/// that implements [`Procedure`] for whoever exports it.
///
/// In the implementation a result comes last, as a pointer to where it goes.
///
/// For this crate alone: the words of some procedures stand for pointers, and a safe spindle that could
/// declare them again, by the same names and types, could call them with words of its own making.
macro_rules! interface {
    ($interface:literal: $($(#[$attribute:meta])*
        $name:ident => $procedure:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;
    )*) => {$(
        #[doc = concat!("The procedure `", $interface, ".", stringify!($name), "`, for whoever exports it.")]
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl $crate::interface::Procedure for $name {
            type Implementation = extern "C" fn($($type,)* $(*mut $result)?) -> $crate::Status;
            const NAME: &'static str =
                $crate::core_::concat!($interface, ".", $crate::core_::stringify!($name));
            const SIGNATURE: &'static str =
                $crate::one_line!($crate::core_::stringify!(fn($($argument: $type),*) $(-> $result)?));
            const HASH: u64 = $crate::interface::signature_hash(
                Self::SIGNATURE,
                &[
                    $(($crate::core_::mem::size_of::<$type>(), $crate::core_::mem::align_of::<$type>()),)*
                    $(($crate::core_::mem::size_of::<$result>(), $crate::core_::mem::align_of::<$result>()),)?
                ],
            );
        }

        $(#[$attribute])*
        pub fn $procedure($($argument: $type),*) -> Result<$crate::interface::interface!(@or_unit $($result)?), $crate::Error> {
            use $crate::interface::{Import, Kind, Procedure};
            #[unsafe(link_section = "whorl_imports")]
            static IMPORT: Import = Import::new(
                $name::NAME, $name::SIGNATURE, $name::HASH, Kind::Procedure, unbound as *const (),
            );
            extern "C" fn unbound($(_: $type,)* $(_: *mut $result)?) -> $crate::Status {
                $crate::Status::UNBOUND
            }
            // SAFETY: the slot holds the stub, or what the kernel bound to an import of this hash.
            let procedure = unsafe {
                core::mem::transmute::<usize, <$name as Procedure>::Implementation>(IMPORT.load())
            };
            $crate::interface::interface!(@call procedure($($argument),*) $($result)?)
        }
    )*};
    (@or_unit) => { () };
    (@or_unit $result:ty) => { $result };
    (@call $procedure:ident($($argument:ident),*)) => {
        $procedure($($argument),*).into_result()
    };
    (@call $procedure:ident($($argument:ident),*) $result:ty) => {{
        let mut result = core::mem::MaybeUninit::<$result>::uninit();
        $procedure($($argument,)* result.as_mut_ptr()).into_result()?;
        // SAFETY: an implementation that says that all is well has written its result.
        Ok(unsafe { result.assume_init() })
    }};
}
pub(crate) use interface;
