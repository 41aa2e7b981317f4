//! How the guest says where a record begins and ends.

/// What the guest said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// The next phase begins; no core records.
    Phase,
    /// This core's record begins.
    Begin,
    /// It ends.
    End,
}

/// `nop dword ptr [rax + rax + 0x57484fNN]`, without its last displacement byte in front: the
/// displacement is little-endian, so `NN` comes first.
const OPCODE: [u8; 4] = [0x0f, 0x1f, 0x84, 0x00];
/// The other three bytes of the displacement.
const SIGN: [u8; 3] = [0x4f, 0x48, 0x57];

impl Mark {
    /// The mark that an instruction of these bytes is, if it is one.
    pub fn read(instruction: &[u8]) -> Option<Self> {
        let (opcode, displacement) = instruction.split_first_chunk()?;
        let (which, sign) = displacement.split_first()?;
        if *opcode != OPCODE || *sign != SIGN {
            return None;
        }
        match which {
            1 => Some(Self::Phase),
            2 => Some(Self::Begin),
            3 => Some(Self::End),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Mark;
    use std::arch::global_asm;

    // The very instructions that the kernel sets, as the assembler encodes them.
    global_asm!(
        "recorder_test_marks:",
        "nop dword ptr [rax + rax + 0x57484f01]",
        "nop dword ptr [rax + rax + 0x57484f02]",
        "nop dword ptr [rax + rax + 0x57484f03]",
        "nop dword ptr [rax + rax + 0x57484f04]",
    );

    unsafe extern "C" {
        static recorder_test_marks: [[u8; 8]; 4];
    }

    #[test]
    fn the_assembler_makes_marks() {
        // SAFETY: 32 bytes of code, which is readable.
        let codes = unsafe { &recorder_test_marks };
        let marks = codes.map(|code| Mark::read(&code));
        assert_eq!(marks, [Some(Mark::Phase), Some(Mark::Begin), Some(Mark::End), None]);
    }

    #[test]
    fn other_instructions_are_none() {
        for code in [&[][..], &[0x90], &[0x0f, 0x1f, 0x84, 0x00], &[0x0f, 0x1f, 0x84, 0, 1, 0, 0, 0]] {
            assert_eq!(Mark::read(code), None);
        }
    }
}
