//! Breaks each rule by itself: the reader names that rule and no other.

mod sample;

use object::{Object, ObjectError as E, Table, limits};
use sample::{DYNAMIC, PAGE, Plan, RELRO, STACK, Sample};

#[track_caller]
fn refuse_plan(plan: Plan) -> E {
    Object::parse(&Sample::new(&plan).bytes).expect_err("the object should be refused")
}

#[track_caller]
fn refuse(damage: impl FnOnce(&mut Sample)) -> E {
    let mut sample = Sample::default();
    damage(&mut sample);
    Object::parse(&sample.bytes).expect_err("the object should be refused")
}

fn places() -> sample::Places {
    Sample::default().at
}

#[test]
fn what_is_not_elf() {
    assert_eq!(Object::parse(b"MZ, which is something else").unwrap_err(), E::NotElf);
    assert_eq!(Object::parse(b"").unwrap_err(), E::Truncated);
    assert_eq!(refuse(|s| s.bytes.truncate(63)), E::Truncated);
    assert_eq!(refuse(|s| s.bytes.truncate(100)), E::Truncated);
    assert_eq!(refuse(|s| s.put16(54, 57)), E::MalformedElf);
    assert_eq!(refuse(|s| s.put64(32, u64::MAX)), E::MalformedElf);
}

#[test]
fn other_machines_and_types() {
    assert_eq!(refuse(|s| s.bytes[4] = 1), E::WrongMachine);
    assert_eq!(refuse(|s| s.bytes[5] = 2), E::WrongMachine);
    assert_eq!(refuse(|s| s.put16(18, 183)), E::WrongMachine);
    assert_eq!(refuse(|s| s.put16(16, 2)), E::NotShared { found: 2 });
}

#[test]
fn program_headers() {
    let tls = refuse(|s| s.put32(s.spare_program_header(), 7));
    assert_eq!(tls, E::ForbiddenProgramHeader { kind: 7 });
    let interpreter = refuse(|s| s.put32(s.spare_program_header(), 3));
    assert_eq!(interpreter, E::ForbiddenProgramHeader { kind: 3 });
    assert_eq!(refuse(|s| s.put32(s.program_header_of(STACK) + 4, 7)), E::ExecutableStack);
    assert_eq!(refuse(|s| s.put16(56, 33)), E::TooManyProgramHeaders { found: 33 });
    assert_eq!(refuse(|s| s.put64(32, 0)), E::NoSegments);
    let none = refuse(|s| {
        for place in [0, s.at.code, s.at.relro, s.at.data] {
            s.put32(s.load_of(place), 0);
        }
    });
    assert_eq!(none, E::NoSegments);
}

#[test]
fn segments_outside_the_file() {
    let at = places();
    let expected = E::SegmentOutsideFile { at: at.code };
    assert_eq!(refuse(|s| s.put64(s.load_of(at.code) + 8, 1 << 20)), expected);
    assert_eq!(refuse(|s| s.put64(s.load_of(at.code) + 8, !0xfff)), expected);
    let short = E::SegmentTooShort { at: at.code };
    assert_eq!(refuse(|s| s.put64(s.load_of(at.code) + 32, 0x91)), short);
    assert_eq!(refuse(|s| s.put64(s.load_of(at.code) + 32, u64::MAX)), short);
}

#[test]
fn images_that_are_too_large() {
    let at = places();
    let most = limits::IMAGE_PAGES as u64 * PAGE;
    let mut sample = Sample::default();
    sample.put64(sample.load_of(at.data) + 40, most - at.data);
    assert_eq!(Object::parse(&sample.bytes).unwrap().image_pages(), limits::IMAGE_PAGES);
    let expected = E::ImageTooLarge { at: at.data };
    assert_eq!(refuse(|s| s.put64(s.load_of(at.data) + 40, most - at.data + 1)), expected);
    assert_eq!(refuse(|s| s.put64(s.load_of(at.data) + 40, u64::MAX)), expected);
    let far = !0xfff;
    assert_eq!(refuse(|s| s.put64(s.load_of(at.data) + 16, far)), E::ImageTooLarge { at: far });
}

#[test]
fn segments_that_are_misaligned_or_overlap() {
    let at = places();
    let expected = E::SegmentAlignment { at: at.code };
    assert_eq!(refuse(|s| s.put64(s.load_of(at.code) + 48, 3)), expected);
    assert_eq!(refuse(|s| s.put64(s.load_of(at.code) + 48, 2 * PAGE)), expected);
    let skewed = refuse(|s| s.put64(s.load_of(at.code) + 16, at.code + 8));
    assert_eq!(skewed, E::SegmentAlignment { at: at.code + 8 });
    // The constants end where the code begins, but for one byte.
    let shared = refuse(|s| {
        s.put64(s.load_of(0) + 40, at.code + 1);
    });
    assert_eq!(shared, E::SegmentOverlap { at: at.code });
    let disordered = refuse(|s| s.put64(s.load_of(at.relro) + 16, 0));
    assert_eq!(disordered, E::SegmentOverlap { at: 0 });
}

#[test]
fn permissions() {
    let at = places();
    assert_eq!(refuse(|s| s.put32(s.load_of(at.code) + 4, 7)), E::WritableCode { at: at.code });
    assert_eq!(refuse(|s| s.put32(s.load_of(at.data) + 4, 3)), E::WritableCode { at: at.data });
    assert_eq!(refuse(|s| s.put32(s.load_of(at.code) + 4, 1)), E::UnreadableSegment { at: at.code });
    assert_eq!(refuse(|s| s.put32(s.load_of(at.data) + 4, 2)), E::UnreadableSegment { at: at.data });
    assert_eq!(refuse(|s| s.put32(s.load_of(at.data) + 4, 0)), E::UnreadableSegment { at: at.data });
}

#[test]
fn relro() {
    let at = places();
    let place = |s: &mut Sample, begin, size| {
        let header = s.program_header_of(RELRO);
        s.put64(header + 16, begin);
        s.put64(header + 40, size);
    };
    assert_eq!(refuse(|s| place(s, at.relro + 8, PAGE - 8)), E::Relro { at: at.relro + 8 });
    assert_eq!(refuse(|s| place(s, at.relro, PAGE - 8)), E::Relro { at: at.relro });
    assert_eq!(refuse(|s| place(s, at.relro, 2 * PAGE)), E::Relro { at: at.relro });
    assert_eq!(refuse(|s| place(s, at.code, PAGE)), E::Relro { at: at.code });
    assert_eq!(refuse(|s| place(s, !0xfff, PAGE)), E::Relro { at: !0xfff });
    assert_eq!(refuse(|s| s.put32(s.spare_program_header(), RELRO)), E::Relro { at: 0 });
}

#[test]
fn the_dynamic_section() {
    let at = places();
    assert_eq!(refuse(|s| s.put32(s.program_header_of(DYNAMIC), 0)), E::DynamicSection);
    assert_eq!(refuse(|s| s.put32(s.spare_program_header(), DYNAMIC)), E::DynamicSection);
    assert_eq!(refuse(|s| s.put64(s.program_header_of(DYNAMIC) + 16, at.image_end)), E::DynamicSection);
    assert_eq!(refuse(|s| s.put64(s.program_header_of(DYNAMIC) + 16, u64::MAX)), E::DynamicSection);
    let endless = refuse(|s| s.put64(s.program_header_of(DYNAMIC) + 40, 13 * 16));
    assert_eq!(endless, E::DynamicSection);
    let twice = refuse(|s| s.put64(s.dynamic_entry(16), 7));
    assert_eq!(twice, E::DuplicateDynamicTag { tag: 7 });
}

#[test]
fn forbidden_dynamic_tags() {
    // NEEDED, INIT, FINI, REL, TEXTREL, JMPREL, INIT_ARRAY, FINI_ARRAY, PREINIT_ARRAY, RELR, an unknown one.
    for tag in [1, 12, 13, 17, 22, 23, 25, 26, 32, 36, 0x1234_5678_9abc] {
        let error = refuse(|s| s.put64(s.dynamic_entry(16), tag));
        assert_eq!(error, E::ForbiddenDynamicTag { tag: tag as i64, value: 0 });
    }
    // TEXTREL and STATIC_TLS among the flags.
    for value in [0xa | 4, 0xa | 0x10] {
        let error = refuse(|s| s.put64(s.dynamic_entry(30) + 8, value));
        assert_eq!(error, E::ForbiddenDynamicTag { tag: 30, value });
    }
    let flags = refuse(|s| s.put64(s.dynamic_entry(0x6fff_fffb) + 8, 0x21));
    assert_eq!(flags, E::ForbiddenDynamicTag { tag: 0x6fff_fffb, value: 0x21 });
}

#[test]
fn tables_that_are_missing_or_outside() {
    let at = places();
    let cases = [
        (Table::Relocations, [7, 8, 9].as_slice()),
        (Table::Symbols, &[6, 11]),
        (Table::Strings, &[5, 10]),
        (Table::Hash, &[4]),
    ];
    for (table, tags) in cases {
        for &tag in tags {
            let missing = refuse(|s| s.put64(s.dynamic_entry(tag), 16));
            assert_eq!(missing, E::BadTable { table }, "without tag {tag}");
            for value in [u64::MAX, u64::MAX - 7, at.image_end, 1 << 40] {
                let wild = refuse(|s| s.put64(s.dynamic_entry(tag) + 8, value));
                assert_eq!(wild, E::BadTable { table }, "tag {tag} with {value:#x}");
            }
        }
    }
    let cut = refuse(|s| s.put64(s.dynamic_entry(8) + 8, 24 * 3 + 1));
    assert_eq!(cut, E::BadTable { table: Table::Relocations });
    assert_eq!(refuse(|s| s.put32(at.hash + 4, u32::MAX)), E::BadTable { table: Table::Symbols });
}

#[test]
fn symbols() {
    let at = places();
    assert_eq!(refuse(|s| s.put32(at.symbols + 48, 9999)), E::SymbolName { index: 2 });
    let undefined = refuse(|s| s.put16(at.symbols + 48 + 6, 0));
    let E::UndefinedSymbol { name } = undefined else { panic!("{undefined}") };
    assert_eq!(name.to_string(), "\"__start_whorl_imports\"");
}

#[test]
fn relocation_kinds() {
    let at = places();
    // JUMP_SLOT, DTPMOD64, IRELATIVE, COPY, 32.
    for kind in [7, 16, 37, 5, 10] {
        let error = refuse(|s| s.put64(s.relocation_of(at.got) + 8, 1 << 32 | u64::from(kind)));
        assert_eq!(error, E::ForbiddenRelocation { at: at.got, kind });
    }
    // RELATIVE has no symbol.
    let error = refuse(|s| s.put64(s.relocation_of(at.got) + 8, 1 << 32 | 8));
    assert_eq!(error, E::ForbiddenRelocation { at: at.got, kind: 8 });
}

#[test]
fn relocation_places() {
    let at = places();
    for place in
        [at.code, at.texts, at.code - 8, at.image_end - 7, at.image_end, 1 << 40, u64::MAX, u64::MAX - 7]
    {
        let error = refuse(|s| s.put64(s.relocation_of(at.got), place));
        assert_eq!(error, E::RelocationPlace { at: place });
    }
    // The slack behind a segment belongs to no segment.
    let slack = refuse(|s| s.put64(s.relocation_of(at.got), at.code + 0x100));
    assert_eq!(slack, E::RelocationPlace { at: at.code + 0x100 });
    let overlap = refuse(|s| s.put64(s.relocation_of(at.got), at.got + 4));
    assert_eq!(overlap, E::RelocationOverlap { at: at.got + 8 });
    let twice = refuse(|s| s.put64(s.relocation_of(at.got), at.got + 8));
    assert_eq!(twice, E::RelocationOverlap { at: at.got + 8 });
}

#[test]
fn relocation_targets() {
    let at = places();
    let end = at.image_end.next_multiple_of(PAGE);
    let name = at.header + 16;
    for target in [end + 1, 1 << 40, u64::MAX, i64::MAX as u64] {
        assert_eq!(refuse(|s| s.repoint(name, target)), E::RelocationTarget { at: name });
    }
    let got = at.got + 8;
    for addend in [i64::MIN, -(at.imports as i64) - 1, end as i64, i64::MAX] {
        let error = refuse(|s| s.put64(s.relocation_of(got) + 16, addend as u64));
        assert_eq!(error, E::RelocationTarget { at: got });
    }
}

#[test]
fn relocation_symbols() {
    let at = places();
    let got = at.got + 8;
    for index in [0, 3, u32::MAX as usize] {
        let error = refuse(|s| s.put64(s.relocation_of(got) + 8, (index as u64) << 32 | 1));
        assert_eq!(error, E::RelocationSymbol { at: got, index });
    }
    let expected = E::RelocationSymbol { at: got, index: 2 };
    // An absolute symbol, one in the common block; of thread-local storage, an indirect function.
    assert_eq!(refuse(|s| s.put16(at.symbols + 48 + 6, 0xfff1)), expected);
    assert_eq!(refuse(|s| s.put16(at.symbols + 48 + 6, 0xfff2)), expected);
    assert_eq!(refuse(|s| s.bytes[at.symbols as usize + 48 + 4] = 0x16), expected);
    assert_eq!(refuse(|s| s.bytes[at.symbols as usize + 48 + 4] = 0x1a), expected);
    assert_eq!(refuse(|s| s.put64(at.symbols + 48 + 8, 1 << 40)), expected);
}

#[test]
fn the_header_symbol() {
    let at = places();
    let symbol = at.symbols + 24;
    assert_eq!(refuse(|s| s.bytes[at.strings as usize + 1] = b'w'), E::NoHeader);
    assert_eq!(refuse(|s| s.bytes[symbol as usize + 4] = 0x12), E::NoHeader);
    assert_eq!(refuse(|s| s.put64(symbol + 16, 79)), E::NoHeader);
    // Nothing else may refer to the symbol in these, or that is what is found first.
    let harmless = |s: &mut Sample| s.put64(s.relocation_of(s.at.got) + 8, 8);
    for place in [at.header + 4, at.code - 8, at.image_end - 8, 1 << 40, u64::MAX - 7] {
        let error = refuse(|s| {
            harmless(s);
            s.put64(symbol + 8, place);
        });
        assert_eq!(error, E::HeaderPlace { at: place });
    }
    let absolute = refuse(|s| {
        harmless(s);
        s.put16(symbol + 6, 0xfff1);
    });
    assert_eq!(absolute, E::NoHeader);
}

#[test]
fn the_header() {
    let at = places();
    assert_eq!(refuse(|s| s.bytes[at.header as usize] = b'w'), E::HeaderMagic);
    assert_eq!(refuse(|s| s.put32(at.header + 8, 2)), E::HeaderVersion { abi: 2, size: 80 });
    assert_eq!(refuse(|s| s.put32(at.header + 12, 88)), E::HeaderVersion { abi: 1, size: 88 });
    // A number that is relocated, in whole or in part.
    for place in [at.header, at.header + 8, at.header + 24] {
        assert_eq!(refuse(|s| s.put64(s.relocation_of(at.got), place)), E::Field { at: place });
    }
    // A pointer that is not.
    for field in [16, 32, 64] {
        assert_eq!(refuse(|s| s.unrelocate(at.header + field)), E::Field { at: at.header + field });
    }
    let absolute = refuse(|s| {
        s.unrelocate(at.header + 72);
        s.put64(at.header + 72, at.code);
    });
    assert_eq!(absolute, E::Field { at: at.header + 72 });
}

#[test]
fn texts_of_the_header() {
    let at = places();
    let field = at.header + 16;
    for size in [PAGE, 1 << 40, u64::MAX] {
        assert_eq!(refuse(|s| s.put64(field + 8, size)), E::Field { at: field });
    }
    // A name that holds an address would read differently once linked.
    assert_eq!(refuse(|s| s.repoint(field, at.got)), E::Field { at: field });

    let long = "x".repeat(33);
    for name in ["", "Greeter", "1st", "-x", "gree ter", "grüße", "a/b", &long] {
        let error = refuse_plan(Plan { name: name.into(), ..Plan::default() });
        assert!(matches!(error, E::Name { .. }), "{name}: {error}");
    }
    for version in ["", "0.1 beta", "0.1\n", &"1".repeat(33)] {
        let error = refuse_plan(Plan { version: version.into(), ..Plan::default() });
        assert!(matches!(error, E::Version { .. }), "{version}: {error}");
    }
    let binary = refuse(|s| s.bytes[s.at.texts as usize] = 0xff);
    assert!(matches!(binary, E::Name { .. }));
}

#[test]
fn entry_points() {
    let at = places();
    for place in [at.header, at.data, at.texts, at.code + 0x90, at.code - 1, 0] {
        assert_eq!(refuse(|s| s.repoint(at.header + 64, place)), E::Start { at: place });
        assert_eq!(refuse(|s| s.repoint(at.header + 72, place)), E::Stop { at: place });
    }
}

#[test]
fn the_import_table() {
    let at = places();
    let end = at.imports + 3 * 56;
    let table = |first, end| {
        refuse(|s| {
            s.repoint(at.header + 48, first);
            s.repoint(at.header + 56, end);
        })
    };
    let wrong = |at| E::ImportTable { at };
    // Backwards, cut, misaligned, in constants, in RELRO, past the end of the data.
    assert_eq!(table(end, at.imports), wrong(end));
    assert_eq!(table(at.imports, end - 8), wrong(at.imports));
    assert_eq!(table(at.imports + 4, at.imports + 60), wrong(at.imports + 4));
    assert_eq!(table(at.symbols, at.symbols + 56), wrong(at.symbols));
    assert_eq!(table(at.got, at.got + 56), wrong(at.got));
    assert_eq!(table(at.image_end - 48, at.image_end + 8), wrong(at.image_end - 48));
    let begin_missing = refuse(|s| s.unrelocate(at.header + 48));
    assert_eq!(begin_missing, wrong(0));
    let end_missing = refuse(|s| s.unrelocate(at.header + 56));
    assert_eq!(end_missing, wrong(at.imports));

    let import = |index| (format!("Many.Item{index}"), "fn()".to_string(), 0);
    let error = refuse_plan(Plan { imports: (0..1025).map(import).collect(), ..Plan::default() });
    assert_eq!(error, E::TooManyImports { found: 1025 });
}

#[test]
fn slots_stay_writable() {
    let at = places();
    // RELRO over the page of the imports, which otherwise are as they should be.
    let error = refuse(|s| {
        let header = s.program_header_of(RELRO);
        s.put64(header + 16, at.data);
        s.put64(header + 40, PAGE);
    });
    assert_eq!(error, E::ImportTable { at: at.imports });
}

#[test]
fn imports() {
    let at = places();
    let second = at.imports + 56;
    let import = |name: &str, signature: &str, kind| {
        let imports = vec![
            ("Console.Write".to_string(), "fn()".to_string(), 0),
            (name.to_string(), signature.to_string(), kind),
        ];
        refuse_plan(Plan { imports, ..Plan::default() })
    };
    let long = format!("Long.{}", "X".repeat(60));
    for name in ["", "Console", "console.Write", "Console.write", "A.B.C", ".B", "A.", "A.B-C", &long] {
        let error = import(name, "fn()", 0);
        assert!(matches!(error, E::ImportName { index: 1, .. }), "{name}: {error}");
    }
    for signature in ["", "fn()\u{1b}[2J", &"x".repeat(4097)] {
        let error = import("Clock.Now", signature, 0);
        assert!(matches!(error, E::ImportSignature { .. }), "{error}");
    }
    assert!(matches!(import("Clock.Now", "fn()", 2), E::ImportKind { kind: 2, .. }));
    assert!(matches!(import("Console.Write", "fn(u8)", 1), E::DuplicateImport { .. }));
    assert!(matches!(refuse(|s| s.put32(second + 52, 1)), E::ImportKind { kind: 0, .. }));
    for stub in [at.data, at.texts, at.header] {
        assert!(matches!(refuse(|s| s.repoint(second + 40, stub)), E::ImportStub { .. }));
    }
    assert!(matches!(refuse(|s| s.unrelocate(second + 40)), E::ImportStub { .. }));
    assert_eq!(refuse(|s| s.unrelocate(second)), E::Field { at: second });
    assert_eq!(refuse(|s| s.unrelocate(second + 16)), E::Field { at: second + 16 });
    // The hash would change with the place of the object.
    assert_eq!(refuse(|s| s.put64(s.relocation_of(at.got), second + 32)), E::Field { at: second + 32 });
}

#[test]
fn errors_say_what_to_do_and_cannot_be_abused() {
    let error =
        refuse_plan(Plan { name: format!("a\u{1b}[2J\"{}", "x".repeat(80)), ..Plan::default() }).to_string();
    assert!(error.starts_with(r#""a\x1b[2J\"xxxx"#), "{error}");
    assert!(error.contains("...\" cannot name a spindle"), "{error}");
    assert!(error.ends_with("; rebuild the spindle with `cargo xtask spindle build`"), "{error}");
    assert!(size_of::<E>() <= 64, "{} bytes", size_of::<E>());
}
