//! Mutexes and conditions by their numbers.

use alloc::{collections::VecDeque, vec::Vec};

use cthreads_interface::answer;
use spindle::Strand;

/// The most mutexes and conditions together.
const MOST: usize = 4_096;

/// A mutex or a condition.
pub enum Thing {
    Mutex {
        owner: Strand,
        /// The owner got it while it waited, was made ready for that, and has not run since.
        is_called: bool,
        waiters: VecDeque<Strand>,
    },
    /// Each who waits, and with which mutex.
    Condition(VecDeque<(Strand, u64)>),
}

impl Thing {
    /// A mutex that nobody has.
    pub fn new_mutex() -> Self {
        Self::Mutex { owner: Strand::NONE, is_called: false, waiters: VecDeque::new() }
    }
}

/// The table. A number is a place in it plus one, and how often the place was taken, so that an old number finds
/// nothing.
pub struct Table {
    places: Vec<(u32, Option<Thing>)>,
    free: Vec<u32>,
}

impl Table {
    /// Nothing in it.
    pub const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    /// Puts a thing in; its number, or zero if there are too many.
    pub fn add(&mut self, thing: Thing) -> u64 {
        let place = match self.free.pop() {
            Some(place) => place,
            None if self.places.len() < MOST => {
                self.places.push((0, None));
                self.places.len() as u32 - 1
            }
            None => return 0,
        };
        let (turn, there) = &mut self.places[place as usize];
        *turn += 1;
        *there = Some(thing);
        u64::from(*turn) << 32 | u64::from(place + 1)
    }

    /// The thing of that number.
    pub fn get(&mut self, number: u64) -> Option<&mut Thing> {
        let place = (number as u32).checked_sub(1)?;
        let (turn, there) = self.places.get_mut(place as usize)?;
        if u64::from(*turn) == number >> 32 { there.as_mut() } else { None }
    }

    /// The mutex's new owner was made ready for it, or was ready.
    pub fn called(&mut self, mutex: u64, is_roused: bool) {
        if let Some(Thing::Mutex { is_called, .. }) = self.get(mutex) {
            *is_called = is_roused;
        }
    }

    /// The strand has had a turn: if it was called to have the mutex, nobody wants to run it for that any more.
    pub fn ran(&mut self, mutex: u64, strand: Strand) {
        if let Some(Thing::Mutex { owner, is_called, .. }) = self.get(mutex)
            && *owner == strand
        {
            *is_called = false;
        }
    }

    /// The strand waits for nothing any more.
    pub fn forget(&mut self, strand: Strand) {
        for (_, thing) in &mut self.places {
            match thing {
                Some(Thing::Mutex { waiters, .. }) => waiters.retain(|waiter| *waiter != strand),
                Some(Thing::Condition(waiters)) => waiters.retain(|(waiter, _)| *waiter != strand),
                None => {}
            }
        }
    }

    /// Takes out one that nobody has or waits for.
    pub fn remove(&mut self, number: u64) -> u64 {
        match self.get(number) {
            None => return answer::UNKNOWN,
            Some(Thing::Mutex { owner, .. }) if !owner.is_none() => return answer::NOT_YOURS,
            Some(Thing::Condition(waiters)) if !waiters.is_empty() => return answer::NOT_YOURS,
            Some(_) => {}
        }
        let place = number as u32 - 1;
        self.places[place as usize].1 = None;
        self.free.push(place);
        answer::DONE
    }
}
