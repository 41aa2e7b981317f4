//! What is counted of strands and cores.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use dispatcher::Processor;
use sched::{
    Builder, Core, CoreSet, Machine, Priority, State, block,
    host::{HostMachine, poll, run, spawn, spawn_as, this},
    sleep_ns, unblock, yield_now,
};

fn core(id: usize) -> &'static Core<HostMachine> {
    HostMachine::scheduler().core(id).expect("the machine has it")
}

/// Lets nobody run until `holds`.
fn spin_until(holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(30), "it never happened");
        std::thread::yield_now();
    }
}

#[test]
fn time_counts_while_it_runs_and_not_while_it_waits() {
    run(2, || {
        let this = this();
        let before = this.run_ns();
        spin_until(|| this.run_ns() > before + 1_000_000);
        let sleeper = spawn(block::<HostMachine>);
        spin_until(|| sleeper.strand().state() == State::Blocked);
        let slept = sleeper.strand().run_ns();
        spin_until(|| this.run_ns() > before + 3_000_000);
        assert_eq!(sleeper.strand().run_ns(), slept);
        unblock(sleeper.strand());
        sleeper.join();
    });
}

#[test]
fn a_halted_core_counts_its_time_as_idle() {
    run(1, || {
        let before = core(0).idle().run_ns();
        sleep_ns::<HostMachine>(5_000_000);
        let idle = core(0).idle().run_ns() - before;
        assert!(this().has_core() && !core(0).idle().has_core());
        assert!(idle > 0 && this().run_ns() + idle <= HostMachine::now_ns());
    });
}

#[test]
fn who_gave_way_is_told_from_who_had_to() {
    run(1, || {
        let (this, core) = (this(), core(0));
        let counts = || (this.preemptions(), core.preemptions());
        let (before, switches) = (counts(), core.switches());
        let other = spawn(|| ());
        yield_now::<HostMachine>();
        other.join();
        assert_eq!(counts(), before);
        assert!(core.switches() > switches);
        let urgent = spawn_as(Builder::new("urgent").priority(Priority::HIGH), || ());
        HostMachine::kick(0);
        poll();
        urgent.join();
        assert_eq!(counts(), (before.0 + 1, before.1 + 1));
    });
}

#[test]
fn a_strand_and_its_thief_count_the_theft() {
    run(2, || {
        let here = HostMachine::core_id();
        let (ours, theirs) = (core(here), core(1 - here));
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let busy = spawn_as(Builder::new("busy").affinity(CoreSet::only(1 - here)), move || {
            spin_until(|| over.load(Ordering::Relaxed));
        });
        spin_until(|| busy.strand().state() == State::Running);
        let (before, our_steals) = (theirs.steals(), ours.steals());
        let extra = spawn(|| ());
        let strand = extra.strand().clone();
        assert_eq!((strand.steals(), strand.switches()), (0, 0));
        is_over.store(true, Ordering::Relaxed);
        // This strand keeps its core, so the other one takes it.
        spin_until(|| strand.state() == State::Ended);
        assert_eq!((strand.steals(), strand.switches()), (1, 1));
        // It may take the housekeeper, too.
        assert!(theirs.steals() > before && ours.steals() == our_steals);
        busy.join();
        extra.join();
    });
}

#[test]
fn a_waiting_strand_says_where_and_who_waits_for_it() {
    run(1, || {
        let sleeper = spawn(|| block::<HostMachine>());
        let strand = sleeper.strand().clone();
        let mut joiners = [0; 2];
        assert!((strand.waits_at().is_none(), strand.joiners(&mut joiners)) == (true, 0));
        let joiner = spawn(move || sleeper.join());
        yield_now::<HostMachine>();
        assert!(strand.waits_at().is_some_and(|place| place.file().ends_with("account.rs")));
        assert_eq!((strand.joiners(&mut joiners), joiners), (1, [joiner.strand().id(), 0]));
        assert!(!this().was_called());
        unblock(&this());
        assert!(this().was_called());
        unblock(&strand);
        joiner.join();
    });
}

/// Strands that come and go while they are listed, in pieces: those who stay are listed once each.
#[test]
fn a_list_of_all_misses_nobody_who_stays() {
    run(2, || {
        let count = if cfg!(miri) { 20 } else { 100 };
        let names = |name: &'static str| move |_| spawn_as(Builder::new(name), || block::<HostMachine>());
        let stay: Vec<_> = (0..count).map(names("stays")).collect();
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let churn = spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let go: Vec<_> = (0..20).map(|_| spawn_as(Builder::new("goes"), || ())).collect();
                go.into_iter().for_each(|strand| strand.join());
            }
        });
        for _ in 0..if cfg!(miri) { 3 } else { 200 } {
            let all = HostMachine::scheduler().strands();
            let staying = all.iter().filter(|strand| strand.name() == "stays");
            assert!(staying.map(|strand| strand.id()).eq(stay.iter().map(|strand| strand.strand().id())));
        }
        is_over.store(true, Ordering::Relaxed);
        churn.join();
        for strand in stay {
            unblock(strand.strand());
            strand.join();
        }
    });
}
