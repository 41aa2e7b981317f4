//! What the reader says of objects that are as they should be.

mod sample;

use object::{Access, Import, Kind, Object, PAGE_SIZE, Segment, limits};
use sample::{Plan, Sample};

fn word(image: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(image[at..at + 8].try_into().unwrap())
}

#[test]
fn everything_is_found() {
    let sample = Sample::default();
    let object = Object::parse(&sample.bytes).unwrap();
    assert_eq!((object.name(), object.version()), ("greeter", "0.1.0"));
    assert_eq!(object.start() as u64, sample.at.code + 0x20);
    assert_eq!(object.stop().unwrap() as u64, sample.at.code + 0x40);
    let slot = sample.at.imports as usize + 40;
    let import = |name: &str, signature: &str, kind, slot_offset| Import {
        name: name.into(),
        signature: signature.into(),
        hash: 0x1234_5678_9abc_def0,
        kind,
        slot_offset,
    };
    let expected = [
        import("Console.Write", "fn(&str) -> Result<()>", Kind::Procedure, slot),
        import("Clock.Now", "fn() -> u64", Kind::Procedure, slot + 56),
        import("Demo.Hello", "fn(u64) -> u64", Kind::Event, slot + 112),
    ];
    assert_eq!(object.imports(), expected);
}

#[test]
fn segments_are_whole_pages_with_relro_split_off() {
    let object = Object::parse(&Sample::default().bytes).unwrap();
    let segment = |first_page, pages, access| Segment { first_page, pages, access };
    let expected = [
        segment(0, 1, Access::ReadOnly),
        segment(1, 1, Access::ReadExecute),
        segment(2, 1, Access::ReadOnly),
        segment(3, 2, Access::ReadWrite),
    ];
    assert_eq!(object.segments(), expected);
    assert_eq!(object.image_pages(), 5);
    assert_eq!(object.segments()[3].bytes(), 3 * PAGE_SIZE..5 * PAGE_SIZE);
}

#[test]
fn relro_in_the_middle_splits_its_segment_in_three() {
    let mut sample = Sample::default();
    // One writable segment of four pages, whose second is RELRO.
    let (relro, data) = (sample.program_header_of(sample::RELRO), sample.load_of(sample.at.data));
    sample.put64(data + 40, 4 * PAGE_SIZE as u64);
    sample.put64(relro + 16, sample.at.data + PAGE_SIZE as u64);
    sample.put64(relro + 40, PAGE_SIZE as u64);
    let object = Object::parse(&sample.bytes).unwrap();
    let tail: Vec<_> = object.segments()[2..].iter().map(|s| (s.first_page, s.pages, s.access)).collect();
    let expected = [
        (2, 1, Access::ReadWrite),
        (3, 1, Access::ReadWrite),
        (4, 1, Access::ReadOnly),
        (5, 2, Access::ReadWrite),
    ];
    assert_eq!(tail, expected);
}

#[test]
fn linking_moves_every_pointer_and_nothing_else() {
    let sample = Sample::default();
    let object = Object::parse(&sample.bytes).unwrap();
    let base = 0xffff_ffff_a000_0000;
    let (low, high) = (object.link(0), object.link(base));
    assert_eq!(high.len(), object.image_pages() * PAGE_SIZE);
    let header = sample.at.header as usize;
    assert_eq!(&high[header..header + 8], b"WHORLSPN");
    assert_eq!(word(&high, header + 64), base + object.start() as u64);
    for import in object.imports() {
        assert_eq!(word(&high, import.slot_offset), base + sample.at.code + 0x60);
    }
    // GLOB_DAT against the header, 64 against the imports plus 8.
    let got = sample.at.got as usize;
    assert_eq!(word(&high, got), base + sample.at.header);
    assert_eq!(word(&high, got + 8), base + sample.at.imports + 8);
    let moved = (0..low.len()).step_by(8).filter(|&at| word(&low, at) != word(&high, at));
    assert_eq!(moved.count(), 2 + 2 + 2 + 3 * 3 + 2);
    let code = sample.at.code as usize;
    assert_eq!(high[code..code + 0x90], sample.bytes[code..code + 0x90]);
    assert!(high[sample.at.bss as usize..].iter().all(|&byte| byte == 0));
}

#[test]
fn functions_come_in_order() {
    let sample = Sample::default();
    let object = Object::parse(&sample.bytes).unwrap();
    let found: Vec<_> =
        object.functions().iter().map(|f| (f.name.as_str(), f.offset as u64, f.size)).collect();
    let code = sample.at.code;
    assert_eq!(found, [("_ZN7greeter5startE", code + 0x20, 32), ("_ZN7greeter4stubE", code + 0x60, 16)]);
}

#[test]
fn a_stripped_object_without_stop_and_imports_is_fine() {
    let plan = Plan { imports: vec![], has_stop: false, has_symbols: false, ..Plan::default() };
    let object = Object::parse(&Sample::new(&plan).bytes).unwrap();
    assert_eq!((object.stop(), object.imports().len(), object.functions().len()), (None, 0, 0));
}

#[test]
fn doubtful_functions_are_left_out() {
    let mut sample = Sample::default();
    let symbols = sample.get64(sample.at.sections + 64 + 24);
    sample.put64(symbols + 24 + 8, sample.at.data);
    let object = Object::parse(&sample.bytes).unwrap();
    assert_eq!(object.functions().len(), 1);
    // A link to a table that does not exist.
    sample.put32(sample.at.sections + 64 + 40, 77);
    assert_eq!(Object::parse(&sample.bytes).unwrap().functions(), []);
}

#[test]
fn as_many_imports_as_allowed() {
    let import = |index| (format!("Many.Item{index}"), "fn()".to_string(), 0);
    let plan = Plan { imports: (0..limits::IMPORTS).map(import).collect(), ..Plan::default() };
    let object = Object::parse(&Sample::new(&plan).bytes).unwrap();
    assert_eq!(object.imports().len(), limits::IMPORTS);
    assert_eq!(object.imports()[1023].name, "Many.Item1023");
}
