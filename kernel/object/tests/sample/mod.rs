//! Writes whole spindle objects, laid out as the linker lays them out, so that tests can break them at will.
#![allow(dead_code, reason = "each test file uses its part of it")]

pub const PAGE: u64 = 4096;

pub const LOAD: u32 = 1;
pub const DYNAMIC: u32 = 2;
pub const RELRO: u32 = 0x6474_e552;
pub const STACK: u32 = 0x6474_e551;

/// What goes into an object.
pub struct Plan {
    pub name: String,
    pub version: String,
    /// Names, signatures, kinds.
    pub imports: Vec<(String, String, u32)>,
    pub has_stop: bool,
    pub has_symbols: bool,
}

impl Default for Plan {
    fn default() -> Self {
        let import = |name: &str, signature: &str, kind| (name.into(), signature.into(), kind);
        Self {
            name: "greeter".into(),
            version: "0.1.0".into(),
            imports: vec![
                import("Console.Write", "fn(&str) -> Result<()>", 0),
                import("Clock.Now", "fn() -> u64", 0),
                import("Demo.Hello", "fn(u64) -> u64", 1),
            ],
            has_stop: true,
            has_symbols: true,
        }
    }
}

/// Where the parts of an object lie. In these files an offset in the file is the same in the image.
#[derive(Clone, Copy, Default)]
pub struct Places {
    pub symbols: u64,
    pub hash: u64,
    pub strings: u64,
    pub relocations: u64,
    pub texts: u64,
    pub code: u64,
    pub relro: u64,
    pub header: u64,
    pub dynamic: u64,
    pub got: u64,
    pub data: u64,
    pub imports: u64,
    pub bss: u64,
    pub image_end: u64,
    pub sections: u64,
}

pub struct Sample {
    pub bytes: Vec<u8>,
    pub at: Places,
    relocations: Vec<(u64, u64, i64)>,
}

impl Default for Sample {
    fn default() -> Self {
        Self::new(&Plan::default())
    }
}

const PROGRAM_HEADERS: u64 = 64;
const PROGRAM_HEADER_COUNT: u64 = 9;
const CODE_SIZE: u64 = 0x90;
const GOT_WORDS: u64 = 2;
const DATA_BEFORE_IMPORTS: u64 = 16;
const BSS_SIZE: u64 = 0x1800;

impl Sample {
    pub fn new(plan: &Plan) -> Self {
        let mut sample = Self { bytes: Vec::new(), at: Places::default(), relocations: Vec::new() };
        let count = plan.imports.len() as u64;
        let relocation_count = 2 + 2 + 1 + u64::from(plan.has_stop) + 3 * count + GOT_WORDS;
        let strings = b"\0WHORL_SPINDLE\0__start_whorl_imports\0";

        // Constants: tables and texts.
        let mut at = Places { symbols: PROGRAM_HEADERS + PROGRAM_HEADER_COUNT * 56, ..Places::default() };
        at.hash = at.symbols + 3 * 24;
        at.strings = at.hash + 16;
        at.relocations = (at.strings + strings.len() as u64).next_multiple_of(8);
        at.texts = at.relocations + relocation_count * 24;
        let mut texts = Vec::new();
        let mut text = |text: &str| {
            let place = at.texts + texts.len() as u64;
            texts.extend_from_slice(text.as_bytes());
            (place, text.len() as u64)
        };
        let (name, version) = (text(&plan.name), text(&plan.version));
        let imports: Vec<_> =
            plan.imports.iter().map(|(name, types, kind)| (text(name), text(types), *kind)).collect();
        let texts_end = at.texts + texts.len() as u64;
        // Code, constants with addresses, data.
        at.code = texts_end.next_multiple_of(PAGE);
        at.relro = (at.code + CODE_SIZE).next_multiple_of(PAGE);
        at.header = at.relro;
        at.dynamic = at.header + 80;
        at.got = at.dynamic + 14 * 16;
        at.data = at.relro + PAGE;
        at.imports = at.data + DATA_BEFORE_IMPORTS;
        at.bss = at.imports + 56 * count;
        at.image_end = at.bss + BSS_SIZE;
        sample.at = at;
        sample.bytes = vec![0; at.bss as usize];

        sample.write(at.texts, &texts);
        sample.write(at.strings, strings);
        sample.write(at.code, &[0xc3; CODE_SIZE as usize]);
        sample.write_symbols();
        sample.write_header(name, version, count, plan.has_stop);
        for (index, import) in imports.into_iter().enumerate() {
            sample.write_import(at.imports + 56 * index as u64, import);
        }
        sample.relocations.push((at.got, 1 << 32 | 6, 0));
        sample.relocations.push((at.got + 8, 2 << 32 | 1, 8));
        assert_eq!(sample.relocations.len() as u64, relocation_count);
        for (index, (place, info, addend)) in sample.relocations.clone().into_iter().enumerate() {
            sample.put_words(at.relocations + 24 * index as u64, &[place, info, addend as u64]);
        }
        sample.write_dynamic(relocation_count, strings.len() as u64);
        if plan.has_symbols {
            sample.write_sections();
        }
        sample.write_program_headers(texts_end);
        sample.write_elf_header(plan.has_symbols);
        sample
    }

    fn write_symbols(&mut self) {
        let at = self.at;
        self.put_symbol(at.symbols + 24, 1, 0x11, 9, at.header, 80);
        self.put_symbol(at.symbols + 48, 15, 0x10, 10, at.imports, 0);
        self.put32(at.hash, 1);
        self.put32(at.hash + 4, 3);
    }

    fn put_symbol(&mut self, at: u64, name: u32, info: u8, section: u16, value: u64, size: u64) {
        self.put32(at, name);
        self.bytes[at as usize + 4] = info;
        self.put16(at + 6, section);
        self.put_words(at + 8, &[value, size]);
    }

    fn write_header(&mut self, name: (u64, u64), version: (u64, u64), imports: u64, has_stop: bool) {
        let at = self.at;
        self.write(at.header, b"WHORLSPN");
        self.put32(at.header + 8, 1);
        self.put32(at.header + 12, 80);
        self.put_pointer(at.header + 16, name.0);
        self.put64(at.header + 24, name.1);
        self.put_pointer(at.header + 32, version.0);
        self.put64(at.header + 40, version.1);
        self.put_pointer(at.header + 48, at.imports);
        self.put_pointer(at.header + 56, at.imports + 56 * imports);
        self.put_pointer(at.header + 64, at.code + 0x20);
        if has_stop {
            self.put_pointer(at.header + 72, at.code + 0x40);
        }
    }

    fn write_import(&mut self, place: u64, (name, signature, kind): ((u64, u64), (u64, u64), u32)) {
        self.put_pointer(place, name.0);
        self.put64(place + 8, name.1);
        self.put_pointer(place + 16, signature.0);
        self.put64(place + 24, signature.1);
        self.put64(place + 32, 0x1234_5678_9abc_def0);
        self.put_pointer(place + 40, self.at.code + 0x60);
        self.put32(place + 48, kind);
    }

    fn write_dynamic(&mut self, relocation_count: u64, strings_size: u64) {
        let at = self.at;
        let entries = [
            [30, 0xa],        // DT_FLAGS: SYMBOLIC, BIND_NOW
            [0x6fff_fffb, 1], // DT_FLAGS_1: NOW
            [7, at.relocations],
            [8, relocation_count * 24],
            [9, 24],
            [0x6fff_fff9, relocation_count - GOT_WORDS],
            [6, at.symbols],
            [11, 24],
            [5, at.strings],
            [10, strings_size],
            [4, at.hash],
            [16, 0], // DT_SYMBOLIC: two that mean nothing, for tests to replace
            [16, 0],
            [0, 0],
        ];
        self.put_words(at.dynamic, entries.as_flattened());
    }

    fn write_program_headers(&mut self, texts_end: u64) {
        let at = self.at;
        let headers: [[u64; 6]; PROGRAM_HEADER_COUNT as usize] = [
            // Type, flags, offset and address, bytes in the file, in memory, alignment.
            [6, 4, PROGRAM_HEADERS, 56 * PROGRAM_HEADER_COUNT, 56 * PROGRAM_HEADER_COUNT, 8],
            [LOAD.into(), 4, 0, texts_end, texts_end, PAGE],
            [LOAD.into(), 5, at.code, CODE_SIZE, CODE_SIZE, PAGE],
            [LOAD.into(), 6, at.relro, at.got + 16 - at.relro, PAGE, PAGE],
            [LOAD.into(), 6, at.data, at.bss - at.data, at.image_end - at.data, PAGE],
            [DYNAMIC.into(), 6, at.dynamic, 14 * 16, 14 * 16, 8],
            [RELRO.into(), 4, at.relro, at.got + 16 - at.relro, PAGE, 1],
            [STACK.into(), 6, 0, 0, 0, 0],
            [0; 6], // PT_NULL: for tests to replace
        ];
        for (index, [kind, flags, place, in_file, in_memory, align]) in headers.into_iter().enumerate() {
            let header = PROGRAM_HEADERS + 56 * index as u64;
            self.put32(header, kind as u32);
            self.put32(header + 4, flags as u32);
            self.put_words(header + 8, &[place, place, place, in_file, in_memory, align]);
        }
    }

    /// A symbol table of two functions and its strings, and the three section headers that they need.
    fn write_sections(&mut self) {
        let names = b"\0_ZN7greeter5startE\0_ZN7greeter4stubE\0";
        let symbols = self.bytes.len().next_multiple_of(8) as u64;
        let strings = symbols + 3 * 24;
        self.at.sections = (strings + names.len() as u64).next_multiple_of(8);
        self.bytes.resize(self.at.sections as usize + 3 * 64, 0);
        let at = self.at;
        self.write(strings, names);
        self.put_symbol(symbols + 24, 20, 0x02, 8, at.code + 0x60, 16);
        self.put_symbol(symbols + 48, 1, 0x02, 8, at.code + 0x20, 32);
        // Name and type, flags, address, offset, size, link and info, alignment, entry size.
        self.put_words(at.sections + 64, &[2 << 32, 0, 0, symbols, 3 * 24, 2, 8, 24]);
        self.put_words(at.sections + 128, &[3 << 32, 0, 0, strings, names.len() as u64, 0, 1, 0]);
    }

    fn write_elf_header(&mut self, has_sections: bool) {
        self.write(0, b"\x7fELF\x02\x01\x01");
        self.put16(16, 3);
        self.put16(18, 62);
        self.put32(20, 1);
        self.put_words(24, &[0, PROGRAM_HEADERS, self.at.sections]);
        let sections = if has_sections { 3 } else { 0 };
        for (index, value) in [64, 56, PROGRAM_HEADER_COUNT as u16, 64, sections, 0].into_iter().enumerate() {
            self.put16(52 + 2 * index as u64, value);
        }
    }

    fn put_pointer(&mut self, at: u64, target: u64) {
        self.relocations.push((at, 8, target as i64));
    }

    pub fn write(&mut self, at: u64, bytes: &[u8]) {
        self.bytes[at as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    pub fn put16(&mut self, at: u64, value: u16) {
        self.write(at, &value.to_le_bytes());
    }

    pub fn put32(&mut self, at: u64, value: u32) {
        self.write(at, &value.to_le_bytes());
    }

    pub fn put64(&mut self, at: u64, value: u64) {
        self.write(at, &value.to_le_bytes());
    }

    fn put_words(&mut self, at: u64, words: &[u64]) {
        words.iter().enumerate().for_each(|(index, &word)| self.put64(at + 8 * index as u64, word));
    }

    pub fn get32(&self, at: u64) -> u32 {
        u32::from_le_bytes(self.bytes[at as usize..][..4].try_into().unwrap())
    }

    pub fn get64(&self, at: u64) -> u64 {
        u64::from_le_bytes(self.bytes[at as usize..][..8].try_into().unwrap())
    }

    /// The program header of this index.
    pub fn program_header(&self, index: u64) -> u64 {
        PROGRAM_HEADERS + 56 * index
    }

    /// The program header that means nothing.
    pub fn spare_program_header(&self) -> u64 {
        self.program_header(PROGRAM_HEADER_COUNT - 1)
    }

    /// The first program header of a type.
    pub fn program_header_of(&self, kind: u32) -> u64 {
        let mut headers = (0..PROGRAM_HEADER_COUNT).map(|index| self.program_header(index));
        headers.find(|&header| self.get32(header) == kind).unwrap()
    }

    /// The program header that loads what is at `place`.
    pub fn load_of(&self, place: u64) -> u64 {
        let mut headers = (0..PROGRAM_HEADER_COUNT).map(|index| self.program_header(index));
        headers.find(|&header| self.get32(header) == LOAD && self.get64(header + 16) == place).unwrap()
    }

    /// The relocation of the word at `place`.
    pub fn relocation_of(&self, place: u64) -> u64 {
        let index = self.relocations.iter().position(|&(at, ..)| at == place).unwrap();
        self.at.relocations + 24 * index as u64
    }

    /// Makes the word at `place` point elsewhere.
    pub fn repoint(&mut self, place: u64, target: u64) {
        self.put64(self.relocation_of(place) + 16, target);
    }

    /// Takes the relocation of `place` away, by giving it the one of another word that nothing looks at.
    pub fn unrelocate(&mut self, place: u64) {
        let relocation = self.relocation_of(place);
        self.put64(relocation, self.at.data);
    }

    /// The first entry of the dynamic section with a tag.
    pub fn dynamic_entry(&self, tag: u64) -> u64 {
        (0..).map(|index| self.at.dynamic + 16 * index).find(|&entry| self.get64(entry) == tag).unwrap()
    }
}
