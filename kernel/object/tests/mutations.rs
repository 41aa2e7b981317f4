//! Tens of thousands of damaged objects: the reader never panics, and what it lets through keeps its
//! promises.

mod sample;

use object::{Access, Object, PAGE_SIZE, forms, limits};
use sample::Sample;

const ROUNDS: usize = 60_000;

static ZEROS: [u8; PAGE_SIZE] = [0; PAGE_SIZE];

/// Reproducible noise: xorshift64* (Vigna, 2016).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// Values at which sums overflow, tables end, or pages begin.
fn nasty(noise: &mut Noise, file: &[u8]) -> u64 {
    let near =
        [0, 1, 7, 8, 56, 80, 4095, 4096, 1 << 24, 1 << 31, 1 << 32, 1 << 40, 1 << 47, 1 << 63, u64::MAX];
    let base = match noise.below(4) {
        0 => noise.next() >> noise.below(64),
        1 => noise.next() % 0x6000,
        2 => {
            let at = noise.below(file.len() - 8);
            u64::from_le_bytes(file[at..at + 8].try_into().unwrap())
        }
        _ => near[noise.below(near.len())],
    };
    base.wrapping_add(noise.below(3) as u64).wrapping_sub(1)
}

/// Damages a file in one to three places; most blows fall where the structures are.
fn damage(file: &mut Vec<u8>, structures: &[(usize, usize)], noise: &mut Noise) {
    for _ in 0..=noise.below(3) {
        let (start, size) = structures[noise.below(structures.len())];
        let value = nasty(noise, file).to_le_bytes();
        let width = [0, 1, 2, 4, 4, 8, 8, 8, 8, 9][noise.below(10)];
        let at = (start + noise.below(size)).min(file.len() - 8);
        match width {
            0 => file[at] ^= 1 << noise.below(8),
            9 => file.truncate((file.len() - noise.below(file.len() / 2)).max(16)),
            _ => file[at / width * width..][..width].copy_from_slice(&value[..width]),
        }
    }
}

#[test]
fn damaged_objects_are_refused_or_sound() {
    let sample = Sample::default();
    let places = sample.at;
    let structures = [
        (0, 64),
        (64, 9 * 56),
        (places.symbols as usize, (places.code - places.symbols) as usize),
        (places.relocations as usize, (places.texts - places.relocations) as usize),
        (places.header as usize, 80),
        (places.dynamic as usize, 14 * 16),
        (places.imports as usize, 3 * 56),
        (places.bss as usize, sample.bytes.len() - places.bss as usize),
        (0, sample.bytes.len()),
    ];
    let mut noise = Noise(0x05ee_d0f7_a1e5);
    let mut accepted = 0;
    for round in 0..ROUNDS {
        let mut file = sample.bytes.clone();
        damage(&mut file, &structures, &mut noise);
        match Object::parse(&file) {
            Ok(object) => {
                accepted += 1;
                let result = std::panic::catch_unwind(|| check(&object, round as u64));
                assert!(result.is_ok(), "round {round} yields an unsound object: {object:?}");
            }
            Err(error) => assert!(error.to_string().ends_with("`cargo xtask spindle build`")),
        }
    }
    // Both must happen often, or nothing was tried.
    assert!((ROUNDS / 100..ROUNDS / 2).contains(&accepted), "{accepted} of {ROUNDS} accepted");
}

#[test]
fn every_truncation_is_refused() {
    let sample = Sample::default();
    for size in 0..sample.bytes.len() {
        assert!(Object::parse(&sample.bytes[..size]).is_err(), "cut to {size} bytes");
    }
}

/// The invariants of the crate's documentation, from what the public interface says and nothing else.
fn check(object: &Object, seed: u64) {
    // 1: the segments tile the image in order. (2: no page is writable and executable, by the type.)
    assert!((1..=limits::IMAGE_PAGES).contains(&object.image_pages()));
    let mut access = vec![None; object.image_pages()];
    let mut next = 0;
    for segment in object.segments() {
        assert!(segment.pages > 0 && segment.first_page >= next);
        next = segment.first_page + segment.pages;
        access[segment.first_page..next].fill(Some(segment.access));
        assert_eq!(segment.bytes(), segment.first_page * PAGE_SIZE..next * PAGE_SIZE);
    }
    let access = |at: usize| access[at / PAGE_SIZE];

    // 3: two bases tell which words are relocated. The bases differ in so odd a number that no other words
    // do.
    let step = Noise(seed + 1).next() | 1;
    let (low, high) = (object.link(0), object.link(step));
    assert_eq!((low.len(), high.len()), (object.image_pages() * PAGE_SIZE, low.len()));
    let word = |image: &[u8], at: usize| u64::from_le_bytes(image[at..at + 8].try_into().unwrap());
    let is_relocated =
        |at: usize| at + 8 <= low.len() && word(&high, at).wrapping_sub(word(&low, at)) == step;
    let is_same = |range: &std::ops::Range<usize>| low[range.clone()] == high[range.clone()];
    let mut at = 0;
    while at < low.len() {
        let rest = at..(at / PAGE_SIZE + 1) * PAGE_SIZE;
        if is_same(&rest) || !is_relocated(at) {
            // Whole pages at a time where nothing differs, for the sake of huge images.
            let range = if is_same(&rest) { rest } else { at..at + 1 };
            assert!(is_same(&range), "the byte at {at:#x} changes by itself");
            assert!(access(at).is_some() || low[range.clone()] == ZEROS[..range.len()]);
            at = range.end;
            continue;
        }
        assert!(word(&low, at) <= low.len() as u64);
        for byte in [at, at + 7] {
            assert!(matches!(access(byte), Some(Access::ReadOnly | Access::ReadWrite)));
        }
        at += 8;
    }

    // 4: entry points.
    assert_eq!(access(object.start()), Some(Access::ReadExecute));
    assert!(object.stop().is_none_or(|stop| access(stop) == Some(Access::ReadExecute)));

    // 5: slots.
    let mut slots: Vec<_> = object.imports().iter().map(|import| import.slot_offset).collect();
    for &slot in &slots {
        assert!(slot.is_multiple_of(8) && is_relocated(slot));
        assert_eq!(access(slot), Some(Access::ReadWrite));
        assert_eq!(access(word(&low, slot) as usize), Some(Access::ReadExecute));
    }
    slots.sort_unstable();
    slots.dedup();
    assert_eq!(slots.len(), object.imports().len());
    assert!(slots.len() <= limits::IMPORTS);

    // 6: names.
    assert!(forms::is_spindle_name(object.name()) && forms::is_version(object.version()));
    let mut names: Vec<_> = object.imports().iter().map(|import| &import.name).collect();
    assert!(names.iter().all(|name| forms::is_import_name(name)));
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), slots.len());
    assert!(object.imports().iter().all(|import| forms::is_signature(&import.signature)));

    for function in object.functions() {
        assert_eq!(access(function.offset), Some(Access::ReadExecute));
        assert_eq!(access(function.offset + function.size - 1), Some(Access::ReadExecute));
    }
    let _ = object.link(u64::MAX);
}
