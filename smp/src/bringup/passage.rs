//! Page tables for the way up: the kernel's, and one page at its own address.
#![forbid(unsafe_code)]

const ENTRIES: usize = 512;
/// Present, writable, executable, the kernel's alone, not global: gone with the next load of CR3.
const FLAGS: u64 = 0b11;
const PAGE_SIZE: u64 = 4096;

/// Four levels of tables that map a page below 1 MiB at its own address, and else what the kernel's root table maps.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Passage {
    tables: [[u64; ENTRIES]; 4],
}

impl Passage {
    /// Tables that map nothing yet. They can stand in a static.
    pub const fn new() -> Self {
        Self { tables: [[0; ENTRIES]; 4] }
    }

    /// Maps `page` beside what `root` maps; the tables themselves lie at physical address `own`, which is returned as that of
    /// the root. The page hides what the kernel has in the lowest 512 GiB, which is user space's.
    pub fn lay(&mut self, root: &[u64; ENTRIES], page: u64, own: u64) -> u64 {
        self.tables[0] = *root;
        for level in 0..3 {
            self.tables[level][0] = (own + (level as u64 + 1) * PAGE_SIZE) | FLAGS;
        }
        self.tables[3][(page / PAGE_SIZE) as usize % ENTRIES] = page | FLAGS;
        own
    }
}

impl Default for Passage {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::{ENTRIES, FLAGS, Passage};

    #[test]
    fn leads_to_the_page_and_to_the_kernel() {
        let mut root = [0; ENTRIES];
        root[511] = 0x7003;
        let mut passage = Passage::new();
        assert_eq!(passage.lay(&root, 0x9_f000, 0x20_0000), 0x20_0000);
        let [top, third, second, first] = &passage.tables;
        assert_eq!((top[0], top[511]), (0x20_1000 | FLAGS, 0x7003));
        assert_eq!((third[0], second[0]), (0x20_2000 | FLAGS, 0x20_3000 | FLAGS));
        assert_eq!(first[0x9f], 0x9_f000 | FLAGS);
        assert_eq!(first.iter().filter(|entry| **entry != 0).count(), 1);
    }
}
