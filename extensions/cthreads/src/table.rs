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
        waiters: VecDeque<Strand>,
    },
    /// Each who waits, and with which mutex.
    Condition(VecDeque<(Strand, u64)>),
}

/// The table. A number is a place in it plus one, and how often the place was taken, so that an old number finds
/// nothing.
#[derive(Default)]
pub struct Table {
    places: Vec<(u32, Option<Thing>)>,
    free: Vec<u32>,
}

impl Table {
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
