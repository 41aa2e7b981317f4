//! Shares of the cores, in virtual time: where an instruction takes a nanosecond, so that nothing else on the
//! host matters and every run is the same.

use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, Ordering};

use dispatcher::Processor;
use sched::{Builder, Machine, Priority};

use super::MILLISECOND;
use crate::{
    domains,
    ktest::{core_count, guarded, ktest, on},
    strands::{Cpu, Handle, spawn_managed},
};

const SECOND: u64 = 1_000 * MILLISECOND;

/// Strands that compute until they are told, and who is told.
struct Crowd {
    strands: Vec<Handle>,
    is_over: Arc<AtomicBool>,
}

impl Crowd {
    fn new(builders: impl Iterator<Item = Builder>) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let compute = |builder| {
            let is_over = is_over.clone();
            guarded(builder, move || while !is_over.load(Ordering::Relaxed) {})
        };
        Self { strands: builders.map(compute).collect(), is_over }
    }

    /// What each has had of the cores in so long.
    fn shares(&self, nanoseconds: u64) -> Vec<u64> {
        let run = || -> Vec<u64> { self.strands.iter().map(|strand| strand.strand().run_ns()).collect() };
        let (before, begun) = (run(), Cpu::now_ns());
        sched::sleep_ns::<Cpu>(nanoseconds);
        let passed = Cpu::now_ns() - begun;
        // In parts per thousand of a core.
        run().iter().zip(before).map(|(now, before)| (now - before) * 1000 / passed).collect()
    }

    fn end(self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.strands.into_iter().for_each(Handle::join);
    }
}

/// Within a twentieth.
#[track_caller]
fn assert_fair(shares: &[u64], fair: u64) {
    for share in shares {
        assert!(share.abs_diff(fair) * 20 <= fair, "{shares:?} of 1000, where {fair} were fair");
    }
}

/// Measures on a strand more urgent than the crowd.
fn measured(body: impl FnOnce() + Send + 'static) {
    guarded(Builder::new("judge").priority(Priority::HOUSEKEEPER), body).join();
}

#[ktest]
fn equals_share_each_core_in_virtual_time() {
    measured(|| {
        let cores = core_count();
        let crowd = Crowd::new((0..3 * cores).map(|number| on(number % cores)));
        sched::sleep_ns::<Cpu>(100 * MILLISECOND);
        assert_fair(&crowd.shares(SECOND), 333);
        crowd.end();
    });
}

#[ktest]
fn as_many_as_cores_have_one_each_in_virtual_time() {
    measured(|| {
        let crowd = Crowd::new((0..core_count()).map(|_| Builder::new("one of many")));
        sched::sleep_ns::<Cpu>(100 * MILLISECOND);
        assert_fair(&crowd.shares(SECOND / 4), 1000);
        crowd.end();
    });
}

/// One that is more urgent has all that it wants; the others share the rest, and starve if there is none.
#[ktest]
fn the_urgent_have_what_they_want_in_virtual_time() {
    measured(|| {
        let last = core_count() - 1;
        let kinds = [Priority::new(20), Priority::NORMAL, Priority::NORMAL];
        let crowd = Crowd::new(kinds.into_iter().map(|priority| on(last).priority(priority)));
        sched::sleep_ns::<Cpu>(50 * MILLISECOND);
        let shares = crowd.shares(SECOND / 4);
        assert!(shares[0] >= 990 && shares[1..].iter().all(|share| *share == 0), "{shares:?}");
        // As urgent as the others, it has a share like theirs.
        sched::set_priority(crowd.strands[0].strand(), Priority::NORMAL);
        sched::sleep_ns::<Cpu>(50 * MILLISECOND);
        let shares = crowd.shares(SECOND / 4);
        assert!(shares.iter().all(|share| *share >= 200), "{shares:?}");
        // What is lent to one counts like its own.
        sched::lend(crowd.strands[2].strand(), Priority::HIGH);
        sched::sleep_ns::<Cpu>(MILLISECOND);
        let shares = crowd.shares(SECOND / 4);
        assert!(shares[2] >= 990, "{shares:?}");
        sched::take_back(crowd.strands[2].strand(), Priority::HIGH);
        crowd.end();
    });
}

/// Packages that do each something else that they must not, and whether they are found out within two seconds.
const BAD: [(&str, bool); 7] = [
    ("borrows", true),
    ("exhumes", true),
    ("rouses", true),
    ("stumbles", true),
    ("dithers", true),
    ("broods", true),
    ("starves", false),
];

/// Two strands compute, and one of a package's: each of the two has as much as the other, and a third at least, whatever
/// the package does in its turns, while it is found out, and when its strand goes on without it.
#[ktest]
fn equals_keep_their_shares_beside_bad_packages_in_virtual_time() {
    measured(|| {
        for (name, is_found) in BAD {
            domains::load(name).expect("it is a good spindle");
            let all = Cpu::scheduler().packages().all();
            let package = all.into_iter().find(|package| package.name() == name).expect("it has registered");
            let crowd = Crowd::new((0..2).map(|_| on(0)));
            let is_over = Arc::new(AtomicBool::new(false));
            let computes = is_over.clone();
            // One that ends, and one that waits before it computes: there are packages that stumble over that.
            let brief = spawn_managed(&package, Builder::new("brief"), || ());
            let guest = spawn_managed(&package, Builder::new("guest"), move || {
                sched::sleep_ns::<Cpu>(MILLISECOND);
                while !computes.load(Ordering::Relaxed) {}
            });
            // As long as that, since a slice more or less, at the beginning or when the package goes, is 20 ms.
            let shares = crowd.shares(2 * SECOND);
            assert!(shares[0].abs_diff(shares[1]) * 20 <= shares[0], "{name}: {shares:?} of 1000");
            assert!(shares.iter().all(|share| share * 20 >= 333 * 19), "{name}: {shares:?} of 1000");
            assert_eq!(package.is_ejected(), is_found, "{name}");
            is_over.store(true, Ordering::Relaxed);
            crowd.end();
            drop(package);
            // One that fails is taken back by itself.
            let _ = domains::unload(name);
            [brief, guest].into_iter().for_each(|strand| strand.expect("there is room").join());
        }
    });
}
