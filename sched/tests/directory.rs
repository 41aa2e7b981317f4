//! The directory of strands that can be named, on a machine of threads.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use sched::{
    Builder, Handle, Machine,
    directory::SLOTS_IN_CHUNK,
    host::{HostMachine, HostStack, run, this},
    sleep_ns,
};

fn directory() -> &'static sched::Directory<HostMachine> {
    HostMachine::scheduler().directory()
}

fn fork(body: impl FnOnce() + Send + 'static) -> Handle<HostMachine> {
    Builder::new("named").named().spawn::<HostMachine>(HostStack::new(), body).expect("there is a core")
}

/// How many are listed.
fn listed() -> usize {
    let mut count = 0;
    directory().for_each(|_| count += 1);
    count
}

#[test]
fn a_name_leads_to_its_strand_until_that_has_ended() {
    run(2, || {
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = is_over.clone();
        let handle = fork(move || {
            assert!(directory().get(this().handle().expect("it was listed before it ran")).is_some());
            while !ends.load(Ordering::Relaxed) {
                sleep_ns::<HostMachine>(100_000);
            }
        });
        let strand = handle.strand().clone();
        let name = strand.handle().expect("it was listed");
        let found = directory().get(name).expect("it has not ended");
        assert!(Arc::ptr_eq(&found, &strand));
        assert_eq!(directory().enter(&strand), Some(name), "a strand has one name");
        drop(found);
        is_over.store(true, Ordering::Relaxed);
        handle.join();
        assert!(directory().get(name).is_none());
        assert!(directory().strike(name).is_none());
        assert_eq!((strand.handle(), listed()), (None, 0));
    });
}

#[test]
fn who_did_not_ask_for_a_name_has_none() {
    run(1, || {
        let handle = Builder::new("nameless").spawn::<HostMachine>(HostStack::new(), || ());
        let handle = handle.expect("there is a core");
        assert_eq!((handle.strand().handle(), listed()), (None, 0));
        handle.join();
        // It can still ask for one, and then it is found.
        let asked = fork(|| ());
        asked.join();
        let name = directory().enter(&this()).expect("there is room");
        assert!(directory().get(name).is_some_and(|found| Arc::ptr_eq(&found, &this())));
        assert!(directory().strike(name).is_some());
        assert_eq!(this().handle(), None);
    });
}

#[test]
fn invented_names_lead_nowhere() {
    run(1, || {
        let words = [0, 1, 2, 1 << 20, 3 << 20, 2 << 20, u64::MAX, 1 << 63, 1 << 17, (1 << 17) - 1];
        assert!(words.iter().all(|word| directory().get(*word).is_none()), "nobody was ever listed");
        let name = directory().enter(&this()).expect("there is room");
        let near =
            [name ^ 1, name ^ 1 << 7, name ^ 1 << 16, name + (1 << 20), name + (2 << 20), name | 1 << 63];
        for word in words.into_iter().chain(near).filter(|word| *word != name) {
            assert!(directory().get(word).is_none(), "{word:#x}");
            assert!(directory().strike(word).is_none(), "{word:#x}");
        }
        assert!(directory().strike(name).is_some());
    });
}

#[test]
fn slots_are_used_again_under_other_names() {
    run(1, || {
        let mut names: Vec<u64> = Vec::new();
        for _ in 0..3 * SLOTS_IN_CHUNK {
            let name = directory().enter(&this()).expect("there is room");
            assert!(directory().strike(name).is_some());
            names.push(name);
        }
        assert_eq!(directory().bytes(), SLOTS_IN_CHUNK * 24, "one chunk is enough for one at a time");
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 3 * SLOTS_IN_CHUNK);
        assert!(names.iter().all(|name| directory().get(*name).is_none()));
    });
}

/// More at a time than one chunk holds, on every core at once.
#[test]
fn many_are_listed_at_once() {
    const EACH: usize = if cfg!(miri) { 3 } else { 150 };
    const CORES: usize = 3;
    run(CORES, || {
        let makers: Vec<_> = (0..CORES)
            .map(|core| {
                let make = || {
                    let is_over = Arc::new(AtomicBool::new(false));
                    let strands: Vec<_> = (0..EACH)
                        .map(|_| {
                            let ends = is_over.clone();
                            fork(move || {
                                while !ends.load(Ordering::Relaxed) {
                                    sleep_ns::<HostMachine>(1_000_000);
                                }
                            })
                        })
                        .collect();
                    for handle in &strands {
                        let name = handle.strand().handle().expect("it was listed");
                        let found = directory().get(name).expect("it has not ended");
                        assert!(Arc::ptr_eq(&found, handle.strand()));
                    }
                    is_over.store(true, Ordering::Relaxed);
                    strands.into_iter().for_each(Handle::join);
                };
                let builder = Builder::new("maker").on_core(core);
                builder.spawn::<HostMachine>(HostStack::new(), make).expect("there is a core")
            })
            .collect();
        makers.into_iter().for_each(Handle::join);
        assert_eq!(listed(), 0);
        assert!(directory().bytes() <= 24 * (CORES * EACH).next_multiple_of(SLOTS_IN_CHUNK) * CORES);
    });
}
