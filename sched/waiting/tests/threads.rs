//! The primitives over threads: what they promise one by one, and in races. Also under Miri.
#![cfg(not(loom))]

mod strands;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use strands::{Threads, body, call_up, run_all, spawn, wait_until};
use waiting::{Error, MOST_LINKS, Refused, Strands};

type Mutex<T> = waiting::Mutex<T, Threads>;
type Condition = waiting::Condition<Threads>;
type Semaphore = waiting::Semaphore<Threads>;
type Channel<T> = waiting::Channel<T, Threads>;
type Barrier = waiting::Barrier<Threads>;

/// So many, or fewer where each takes long.
const fn rounds(count: usize) -> usize {
    if cfg!(miri) { count / 100 + 3 } else { count }
}

fn soon(nanoseconds: u64) -> u64 {
    Threads::now_ns() + nanoseconds
}

#[test]
fn the_mutex_excludes() {
    let counter = Arc::new(Mutex::new(0));
    let player = |_| {
        let counter = counter.clone();
        body(move || (0..rounds(5000)).for_each(|_| *counter.lock() += 1))
    };
    run_all((0..4).map(player));
    assert_eq!(*counter.lock(), 4 * rounds(5000));
}

#[test]
fn a_free_mutex_is_had_at_once_and_a_held_one_is_not() {
    let mutex = Arc::new(Mutex::new(1));
    let guard = mutex.lock();
    assert!(mutex.try_lock().is_none());
    let other = mutex.clone();
    let (_, thread) = spawn(0, move || other.lock_until(soon(1_000_000)).err());
    assert_eq!(thread.join().unwrap(), Some(Error::TimedOut));
    drop(guard);
    // A deadline past takes what is free.
    assert_eq!(*mutex.lock_until(0).unwrap(), 1);
    assert!(mutex.try_lock().is_some());
}

#[test]
fn who_has_the_lock_already_is_told() {
    let mutex = Mutex::new(());
    let guard = mutex.lock();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(mutex.lock()))).is_err());
    drop(guard);
    drop(mutex.lock());
}

#[test]
fn first_come_first_served() {
    let (mutex, order) = (Arc::new(Mutex::new(())), Arc::new(std::sync::Mutex::new(Vec::new())));
    let guard = mutex.lock();
    let start = |number: usize| {
        let (mutex, order) = (mutex.clone(), order.clone());
        let (strand, thread) = spawn(0, move || {
            let _guard = mutex.lock();
            order.lock().unwrap().push(number);
        });
        wait_until(|| strand.is_parked());
        thread
    };
    let threads: Vec<_> = (0..5).map(start).collect();
    drop(guard);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
}

/// Whoever gives up leaves the line wherever he stands.
#[test]
fn the_line_closes_where_somebody_leaves() {
    for leaver in 0..3 {
        let (mutex, count) = (Arc::new(Mutex::new(())), Arc::new(AtomicUsize::new(0)));
        let guard = mutex.lock();
        let start = |number: usize| {
            let (mutex, count) = (mutex.clone(), count.clone());
            let (strand, thread) = spawn(0, move || {
                let outcome = mutex.lock_interruptible().map(|_| ());
                assert_eq!(outcome.is_err(), number == leaver);
                count.fetch_add(1, Ordering::Relaxed);
            });
            wait_until(|| strand.is_parked());
            (strand, thread)
        };
        let waiters: Vec<_> = (0..3).map(start).collect();
        waiters[leaver].0.terminate();
        wait_until(|| count.load(Ordering::Relaxed) == 1);
        drop(guard);
        waiters.into_iter().for_each(|(_, thread)| thread.join().unwrap());
        assert!(mutex.try_lock().is_some());
    }
}

#[test]
fn a_plain_wait_goes_on_though_the_strand_shall_end() {
    let semaphore = Arc::new(Semaphore::new(0));
    let other = semaphore.clone();
    let (strand, thread) = spawn(0, move || {
        other.wait();
        other.wait_interruptible()
    });
    wait_until(|| strand.is_parked());
    let before = strand.blocks.load(Ordering::Relaxed);
    strand.terminate();
    wait_until(|| strand.blocks.load(Ordering::Relaxed) > before && strand.is_parked());
    semaphore.signal();
    assert_eq!(thread.join().unwrap(), Err(Error::Terminated));
}

#[test]
fn a_call_for_no_reason_wakes_nobody() {
    let semaphore = Arc::new(Semaphore::new(0));
    let other = semaphore.clone();
    let is_through = Arc::new(AtomicBool::new(false));
    let through = is_through.clone();
    let (strand, thread) = spawn(0, move || {
        other.wait();
        through.store(true, Ordering::Relaxed);
    });
    for _ in 0..10 {
        wait_until(|| strand.is_parked());
        let before = strand.blocks.load(Ordering::Relaxed);
        call_up(&strand);
        wait_until(|| strand.blocks.load(Ordering::Relaxed) > before);
        assert!(!is_through.load(Ordering::Relaxed));
    }
    semaphore.signal();
    thread.join().unwrap();
}

#[test]
fn an_uncontended_wait_blocks_and_calls_nobody() {
    let this = Threads::current();
    let (semaphore, channel, mutex) = (Semaphore::new(1), Channel::new(1), Mutex::new(()));
    semaphore.wait();
    semaphore.signal();
    channel.send(1).unwrap();
    channel.receive().unwrap();
    drop(mutex.lock());
    assert_eq!(this.blocks.load(Ordering::Relaxed), 0);
    assert_eq!(this.calls.load(Ordering::Relaxed), 0);
    // The primitives have let go of all references but the thread's and ours.
    assert_eq!(Arc::strong_count(&this), 2);
}

/// Deadlines that pass while signals come: each signal is had by a wait that succeeded, or left over.
#[test]
fn deadlines_race_with_signals() {
    let semaphore = Arc::new(Semaphore::new(0));
    let signals = rounds(4000);
    let is_over = Arc::new(AtomicBool::new(false));
    let waiter = |step: usize| {
        let (semaphore, is_over) = (semaphore.clone(), is_over.clone());
        body(move || {
            let (mut had, mut wait_ns) = (0, 0);
            while !is_over.load(Ordering::Acquire) {
                wait_ns = (wait_ns + 97 * step as u64) % 20_000;
                match semaphore.wait_until(soon(wait_ns)) {
                    Ok(()) => had += 1,
                    Err(error) => assert_eq!(error, Error::TimedOut),
                }
            }
            had
        })
    };
    let signaller = {
        let (semaphore, is_over) = (semaphore.clone(), is_over.clone());
        body(move || {
            for number in 0..signals {
                semaphore.signal();
                if number % 3 == 0 {
                    thread::yield_now();
                }
            }
            is_over.store(true, Ordering::Release);
            0
        })
    };
    let counts = run_all([waiter(1), waiter(3), signaller]);
    let had: usize = counts.into_iter().sum();
    let left = core::iter::from_fn(|| semaphore.try_wait().then_some(())).count();
    assert_eq!(had + left, signals);
}

/// The same for a mutex: whoever times out has nothing, and the lock goes to somebody who still waits.
#[test]
fn deadlines_race_with_the_end_of_a_guard() {
    let mutex = Arc::new(Mutex::new(0_usize));
    let player = |step: u64| {
        let mutex = mutex.clone();
        body(move || {
            let mut had = 0;
            for round in 0..rounds(3000) as u64 {
                if let Ok(mut guard) = mutex.lock_until(soon(round * step % 5000)) {
                    *guard += 1;
                    had += 1;
                    thread::yield_now();
                }
            }
            had
        })
    };
    let had: usize = run_all([player(7), player(13), player(101)]).into_iter().sum();
    assert_eq!(*mutex.try_lock().expect("nobody has it"), had);
}

#[test]
fn a_condition_gives_the_mutex_back_and_takes_it_again() {
    let pair = Arc::new((Mutex::new(0), Condition::new()));
    let total = rounds(2000);
    let other = pair.clone();
    let (_, thread) = spawn(0, move || {
        let (mutex, condition) = &*other;
        for round in 0..total {
            let mut guard = mutex.lock();
            while *guard != 2 * round + 1 {
                condition.wait(&mut guard);
            }
            *guard += 1;
            condition.notify_one();
        }
    });
    let (mutex, condition) = &*pair;
    for round in 0..total {
        let mut guard = mutex.lock();
        while *guard != 2 * round {
            condition.wait(&mut guard);
        }
        *guard += 1;
        condition.notify_one();
    }
    thread.join().unwrap();
    assert_eq!(*mutex.lock(), 2 * total);
}

#[test]
fn notify_all_means_those_who_wait_now() {
    let pair = Arc::new((Mutex::new(0), Condition::new()));
    let start = |_| {
        let pair = pair.clone();
        let (strand, thread) = spawn(0, move || {
            let (mutex, condition) = &*pair;
            let mut guard = mutex.lock();
            condition.wait(&mut guard);
            *guard += 1;
        });
        wait_until(|| strand.is_parked());
        thread
    };
    let threads: Vec<_> = (0..4).map(start).collect();
    assert_eq!(pair.1.notify_all(), 4);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!((pair.1.notify_all(), pair.1.notify_one()), (0, false));
    let mut guard = pair.0.lock();
    assert_eq!(*guard, 4);
    assert_eq!(pair.1.wait_until(&mut guard, soon(100_000)), Err(Error::TimedOut));
    // It is ours again.
    assert!(pair.0.try_lock().is_none());
}

#[test]
fn a_full_channel_holds_senders_back() {
    let channel = Arc::new(Channel::new(2));
    channel.send(1).unwrap();
    channel.send(2).unwrap();
    assert_eq!(channel.try_send(3), Err(Refused { value: 3, error: Error::Busy }));
    assert_eq!(channel.send_until(3, 0), Err(Refused { value: 3, error: Error::TimedOut }));
    let other = channel.clone();
    let (strand, thread) = spawn(0, move || other.send(3));
    wait_until(|| strand.is_parked());
    assert_eq!(channel.len(), 2);
    assert_eq!(channel.receive(), Ok(1));
    thread.join().unwrap().unwrap();
    // The one who waited filled the gap before anybody else could.
    assert_eq!(channel.try_send(4), Err(Refused { value: 4, error: Error::Busy }));
    assert_eq!(
        (channel.receive(), channel.receive(), channel.try_receive()),
        (Ok(2), Ok(3), Err(Error::Busy))
    );
    assert!(channel.is_empty());
}

#[test]
fn closing_gives_senders_their_values_and_receivers_an_end() {
    let channel = Arc::new(Channel::new(1));
    channel.send(Box::new(1)).unwrap();
    let other = channel.clone();
    let (strand, sender) = spawn(0, move || other.send(Box::new(2)));
    wait_until(|| strand.is_parked());
    channel.close();
    assert!(channel.is_closed());
    assert_eq!(sender.join().unwrap(), Err(Refused { value: Box::new(2), error: Error::Closed }));
    assert_eq!(channel.send(Box::new(3)), Err(Refused { value: Box::new(3), error: Error::Closed }));
    // What was sent before still comes.
    assert_eq!(channel.receive(), Ok(Box::new(1)));
    assert_eq!(channel.receive(), Err(Error::Closed));
    let empty = Arc::new(Channel::<u8>::new(1));
    let start = |_| {
        let empty = empty.clone();
        let (strand, thread) = spawn(0, move || empty.receive());
        wait_until(|| strand.is_parked());
        thread
    };
    let receivers: Vec<_> = (0..3).map(start).collect();
    empty.close();
    receivers.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap(), Err(Error::Closed)));
}

/// Many send and receive with deadlines of all lengths; what was taken is what was sent, once.
#[test]
fn nothing_is_lost_or_doubled_on_its_way() {
    let channel = Arc::new(Channel::new(2));
    let each = rounds(3000);
    let sender = |first: usize| {
        let channel = channel.clone();
        body(move || {
            let sent = (0..each).map(|number| first + 2 * number).filter(|number| match number % 3 {
                0 => channel.send_until(*number, soon(*number as u64 % 3000)).is_ok(),
                1 => channel.try_send(*number).is_ok(),
                _ => channel.send(*number).is_ok(),
            });
            sent.collect::<Vec<_>>()
        })
    };
    let receiver = |step: u64| {
        let channel = channel.clone();
        body(move || {
            let (mut taken, mut wait_ns) = (Vec::new(), 0);
            loop {
                wait_ns = (wait_ns + step) % 4000;
                match channel.receive_until(soon(wait_ns)) {
                    Ok(number) => taken.push(number),
                    Err(Error::Closed) => return taken,
                    Err(error) => assert_eq!(error, Error::TimedOut),
                }
            }
        })
    };
    let receivers: Vec<_> = [receiver(31), receiver(97)].into_iter().map(|body| spawn(0, body).1).collect();
    let mut sent: Vec<_> = run_all([sender(0), sender(1)]).concat();
    channel.close();
    let taken: Vec<_> = receivers.into_iter().map(|thread| thread.join().unwrap()).collect();
    // Of one sender, each receiver gets what it gets in order.
    for taken in &taken {
        for parity in 0..2 {
            assert!(taken.iter().filter(|number| *number % 2 == parity).is_sorted());
        }
    }
    let mut taken = taken.concat();
    sent.sort_unstable();
    taken.sort_unstable();
    assert_eq!(sent, taken);
}

#[test]
fn nobody_passes_a_barrier_before_all_have_come() {
    let barrier = Arc::new(Barrier::new(3));
    let arrived = Arc::new(AtomicUsize::new(0));
    let player = |_| {
        let (barrier, arrived) = (barrier.clone(), arrived.clone());
        body(move || {
            let mut leads = 0;
            for round in 1..=rounds(2000) {
                arrived.fetch_add(1, Ordering::Relaxed);
                leads += usize::from(barrier.wait());
                assert!(arrived.load(Ordering::Relaxed) >= 3 * round);
            }
            leads
        })
    };
    let leads: usize = run_all((0..3).map(player)).into_iter().sum();
    assert_eq!(leads, rounds(2000));
}

/// Who gives up counts as one who has not come; who came through did, whatever his deadline.
#[test]
fn deadlines_race_with_a_barrier() {
    let barrier = Arc::new(Barrier::new(2));
    let player = |step: u64| {
        let barrier = barrier.clone();
        body(move || {
            let mut passed = [0, 0];
            for round in 0..rounds(4000) as u64 {
                if let Ok(is_last) = barrier.wait_until(soon(round * step % 9000)) {
                    passed[usize::from(is_last)] += 1;
                }
            }
            passed
        })
    };
    let passed = run_all([player(11), player(17)]);
    // For each one who came last there is one who waited.
    assert_eq!(passed[0][0] + passed[1][0], passed[0][1] + passed[1][1]);
    assert_eq!(barrier.wait_until(0), Err(Error::TimedOut));
}

#[test]
fn lending_lasts_until_the_lock_is_handed_on() {
    let mutex = Arc::new(Mutex::new(()));
    let this = Threads::current();
    let guard = mutex.lock();
    let start = |urgency| {
        let mutex = mutex.clone();
        let (strand, thread) = spawn(urgency, move || {
            let _guard = mutex.lock();
            Threads::current().urgency()
        });
        wait_until(|| strand.is_parked());
        thread
    };
    let threads = [3, 9, 5].map(start);
    assert_eq!((this.urgency(), this.loans()), (9, 1));
    drop(guard);
    assert_eq!(this.loans(), 0);
    // The first had the lock while the second waited; the third was lent nothing.
    assert_eq!(threads.map(|thread| thread.join().unwrap()), [9, 9, 5]);
}

#[test]
fn lending_ends_when_the_waiter_gives_up() {
    let mutex = Arc::new(Mutex::new(()));
    let this = Threads::current();
    let guard = mutex.lock();
    let start = |urgency| {
        let mutex = mutex.clone();
        let (strand, thread) = spawn(urgency, move || mutex.lock_interruptible().map(|_| ()));
        wait_until(|| strand.is_parked());
        (strand, thread)
    };
    let [(_, less), (strand, more)] = [3, 9].map(start);
    assert_eq!(this.urgency(), 9);
    strand.terminate();
    assert_eq!(more.join().unwrap(), Err(Error::Terminated));
    assert_eq!((this.urgency(), this.loans()), (3, 1));
    drop(guard);
    assert_eq!(less.join().unwrap(), Ok(()));
    assert_eq!(this.loans(), 0);
}

/// Each has a mutex and waits for the next one's; the first one's is the test's.
#[test]
fn lending_goes_along_a_chain_and_comes_back() {
    let length = MOST_LINKS - 1;
    let mutexes: Arc<Vec<_>> = Arc::new((0..=length).map(|_| Mutex::new(())).collect());
    let this = Threads::current();
    let guard = mutexes[0].lock();
    let start = |number: usize| {
        let mutexes = mutexes.clone();
        let (strand, thread) = spawn(1, move || {
            let _own = mutexes[number].lock();
            let _next = mutexes[number - 1].lock();
        });
        wait_until(|| strand.is_parked());
        (strand, thread)
    };
    let links: Vec<_> = (1..=length).map(start).collect();
    let last = mutexes.clone();
    let (strand, thread) = spawn(7, move || last[length].lock_interruptible().map(|_| ()));
    wait_until(|| strand.is_parked() && this.urgency() == 7);
    assert!(links.iter().all(|(strand, _)| strand.urgency() == 7));
    strand.terminate();
    assert_eq!(thread.join().unwrap(), Err(Error::Terminated));
    assert!(links.iter().all(|(strand, _)| strand.urgency() == 1));
    assert_eq!(this.urgency(), 1);
    drop(guard);
    links.into_iter().for_each(|(strand, thread)| {
        thread.join().unwrap();
        assert_eq!(strand.loans(), 0);
    });
}

#[test]
fn lending_ends_in_a_circle() {
    let mutexes = Arc::new([Mutex::new(()), Mutex::new(())]);
    let has_both = Arc::new(Barrier::new(2));
    let start = |number: usize| {
        let (mutexes, has_both) = (mutexes.clone(), has_both.clone());
        spawn(number as u8 + 1, move || {
            let _own = mutexes[number].lock();
            has_both.wait();
            mutexes[1 - number].lock_interruptible().map(|_| ()).is_ok()
        })
    };
    let [(one, first), (other, second)] = [0, 1].map(start);
    wait_until(|| one.is_parked() && other.is_parked() && one.urgency() == 2);
    let third = mutexes.clone();
    let (strand, thread) = spawn(9, move || drop(third[0].lock()));
    wait_until(|| strand.is_parked() && one.urgency() == 9);
    one.terminate();
    assert!(!first.join().unwrap());
    assert!(second.join().unwrap());
    thread.join().unwrap();
    assert_eq!((one.loans(), other.loans()), (0, 0));
}

/// Loans while owners, lines and deadlines change all the time: in the end none is left.
#[test]
fn lending_leaves_nothing_behind() {
    let mutexes = Arc::new([Mutex::new(0_usize), Mutex::new(0), Mutex::new(0)]);
    let start = |number: u8| {
        let mutexes = mutexes.clone();
        spawn(number, move || {
            let mut had = 0;
            for round in 0..rounds(3000) {
                // Always upwards, so that nobody waits in a circle.
                let low = round % 2;
                let Ok(mut one) = mutexes[low].lock_until(soon((round as u64 * 53 + 7) % 30_000)) else {
                    continue;
                };
                let Ok(mut other) = mutexes[low + 1].lock_until(soon((round as u64 * 31) % 20_000)) else {
                    continue;
                };
                *one += 1;
                *other += 1;
                had += 2;
                thread::yield_now();
            }
            had
        })
    };
    let strands: Vec<_> = (1..5).map(start).collect();
    let mut had = 0;
    let strands: Vec<_> = strands
        .into_iter()
        .map(|(strand, thread)| {
            had += thread.join().unwrap();
            strand
        })
        .collect();
    assert!(strands.iter().all(|strand| strand.loans() == 0));
    assert_eq!(mutexes.iter().map(|mutex| *mutex.lock()).sum::<usize>(), had);
}
