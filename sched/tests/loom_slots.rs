//! Exhaustive models of the directory's slots and of the lists of free ones, on the real source file:
//! `RUSTFLAGS="--cfg loom" cargo test -p sched --release --test loom_slots`.
#![cfg(loom)]

#[allow(dead_code, reason = "the models use parts of it")]
#[path = "../src/slots.rs"]
mod slots;

/// In place of `src/primitive.rs`.
mod primitive {
    pub(crate) use loom::{
        hint::spin_loop,
        sync::{
            Arc,
            atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering},
        },
    };
}

use loom::{
    cell::UnsafeCell,
    sync::{Arc, atomic::AtomicU64},
    thread,
};
use slots::{FreeList, Slot};

/// Who is in a slot. What it holds was written before it was put in, without any order of its own; loom
/// reports whoever reads it without having been told.
struct Item(UnsafeCell<u32>);

// SAFETY: written before it is shared; loom checks it.
unsafe impl Sync for Item {}
// SAFETY: as above.
unsafe impl Send for Item {}

impl Item {
    fn new(number: u32) -> Arc<Self> {
        let item = Arc::new(Self(UnsafeCell::new(0)));
        // SAFETY: nobody else has it yet.
        item.0.with_mut(|place| unsafe { *place = number });
        item
    }

    fn number(&self) -> u32 {
        // SAFETY: it is not written any more.
        self.0.with(|place| unsafe { *place })
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        // SAFETY: the last reference: all who have read it are done. loom checks that.
        self.0.with_mut(|place| unsafe { *place = u32::MAX });
    }
}

/// Slots and their list, as the directory has them for a core.
struct Room {
    slots: Vec<Slot<Item>>,
    free: FreeList,
}

impl Room {
    fn new(slots: u32) -> Arc<Self> {
        let room = Self { slots: (0..slots).map(Slot::new).collect(), free: FreeList(AtomicU64::new(0)) };
        (0..slots).for_each(|index| room.free.push(index, &room.slots[index as usize]));
        Arc::new(room)
    }

    fn enter(&self, number: u32) -> Option<(u32, u64)> {
        let index = self.free.pop(|index| &self.slots[index as usize])?;
        let slot = &self.slots[index as usize];
        let generation = slot.coming();
        slot.fill(Item::new(number));
        Some((index, generation))
    }

    fn get(&self, (index, generation): (u32, u64)) -> Option<Arc<Item>> {
        self.slots[index as usize].get(generation)
    }

    fn strike(&self, (index, generation): (u32, u64)) -> bool {
        let slot = &self.slots[index as usize];
        let Some(item) = slot.empty(generation) else { return false };
        drop(item);
        self.free.push(index, slot);
        true
    }
}

/// A name is looked up while its strand is struck off and another comes into the slot.
#[test]
fn a_name_leads_to_its_own_or_to_nobody() {
    loom::model(|| {
        let room = Room::new(1);
        let first = room.enter(1).unwrap();
        let reader = {
            let room = room.clone();
            thread::spawn(move || {
                if let Some(item) = room.get(first) {
                    assert_eq!(item.number(), 1);
                }
            })
        };
        assert!(room.strike(first));
        let second = room.enter(2).unwrap();
        assert_ne!(first, second);
        assert!(room.get(first).is_none());
        assert_eq!(room.get(second).unwrap().number(), 2);
        reader.join().unwrap();
        assert!(room.strike(second));
    });
}

/// A slot is emptied and filled on one core, and looked up on another under its new name, which came there
/// without any order of its own.
#[test]
fn a_new_name_leads_to_all_of_its_strand() {
    loom::model(|| {
        let room = Room::new(1);
        let first = room.enter(1).unwrap();
        let second = (first.0, first.1 + 2);
        let reader = {
            let room = room.clone();
            thread::spawn(move || {
                if let Some(item) = room.get(second) {
                    assert_eq!(item.number(), 2);
                }
            })
        };
        assert!(room.strike(first));
        assert_eq!(room.enter(2), Some(second));
        reader.join().unwrap();
        assert!(room.strike(second));
    });
}

/// As above, and the one who looks it up second has it from nobody but the one who did so first.
#[test]
fn readers_pass_on_what_they_found() {
    loom::model(|| {
        let room = Room::new(1);
        let name = (0, 1);
        let readers = [(); 2].map(|()| {
            let room = room.clone();
            thread::spawn(move || {
                if let Some(item) = room.get(name) {
                    assert_eq!(item.number(), 1);
                }
            })
        });
        assert_eq!(room.enter(1), Some(name));
        for reader in readers {
            reader.join().unwrap();
        }
        assert!(room.strike(name));
    });
}

/// Of two who strike a strand off, one does.
#[test]
fn it_is_struck_off_once() {
    loom::model(|| {
        let room = Room::new(2);
        let name = room.enter(1).unwrap();
        let other = {
            let room = room.clone();
            thread::spawn(move || room.strike(name))
        };
        let is_first = room.strike(name);
        assert!(is_first != other.join().unwrap());
        // The slot went back once.
        let (one, two) = (room.enter(2).unwrap(), room.enter(3).unwrap());
        assert_ne!(one.0, two.0);
        assert!(room.enter(4).is_none());
        assert!(room.strike(one) && room.strike(two));
    });
}

/// Two come and go at once, so that slots are taken from the list, and put back, under each other's hands.
#[test]
fn nobody_shares_a_slot() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let room = Room::new(2);
        let visit = |room: &Room, number| {
            for _ in 0..2 {
                let name = room.enter(number).expect("two slots are enough for two");
                assert_eq!(room.get(name).unwrap().number(), number);
                assert!(room.strike(name));
            }
        };
        let other = {
            let room = room.clone();
            thread::spawn(move || visit(&room, 1))
        };
        visit(&room, 2);
        other.join().unwrap();
    });
}

/// A slot is taken and put back, and the one behind it taken, while somebody is about to take the first.
#[test]
fn a_list_that_looks_the_same_is_not_taken_for_the_same() {
    loom::model(|| {
        let room = Room::new(3);
        let other = {
            let room = room.clone();
            thread::spawn(move || room.enter(1).expect("three slots are enough for three"))
        };
        let (one, two) = (room.enter(2).unwrap(), room.enter(3).unwrap());
        assert!(room.strike(one));
        let held = [other.join().unwrap(), two, room.enter(4).unwrap()];
        assert!(room.free.pop(|index| &room.slots[index as usize]).is_none());
        assert_ne!(held[0].0, held[1].0);
        assert_ne!(held[1].0, held[2].0);
        assert_ne!(held[2].0, held[0].0);
        assert!(held.into_iter().all(|name| room.strike(name)));
    });
}
