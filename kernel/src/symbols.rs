//! Names for the kernel's code addresses, from the boot archive's file
//! `symbols`. Looked up in place: nothing is copied, allocated or locked.

use core::fmt;

use base::symbols::find;
use spin::Once;

static TEXT: Once<&'static [u8]> = Once::new();

/// Takes the text of the boot archive's file `symbols`.
pub fn init(text: &'static [u8]) {
    TEXT.call_once(|| text);
}

/// Whether there are names at all.
pub fn are_known() -> bool {
    TEXT.get().is_some()
}

/// A code address that displays as `ADDRESS function+offset`, as far as known.
#[derive(Clone, Copy)]
pub struct Code {
    address: u64,
    /// Where to look: for a return address, inside the call before it.
    inside: u64,
}

impl Code {
    /// The address of an instruction.
    pub const fn instruction(address: u64) -> Self {
        Self { address, inside: address }
    }

    /// The address that a call returns to. The call may be a function's last
    /// instruction, so the name is that of the byte before.
    pub const fn return_to(address: u64) -> Self {
        Self { address, inside: address.wrapping_sub(1) }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.address)?;
        match TEXT.get().and_then(|text| find(text, self.inside)) {
            Some(symbol) => write!(f, " {}+{:#x}", symbol.name, self.address.wrapping_sub(symbol.start)),
            None => Ok(()),
        }
    }
}
