//! A thread package that tries what must not be done with cores and strands, where it is asked and on its strands.
#![no_std]
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use spindle::{
    Error, Strand,
    package::{Builder, Next, Package, Reason, Resume, ThreadPackage, Unblock, Why},
    raise, strand,
};
use tenants_interface::Queue;

static PACKAGE: spin::Mutex<Option<Package>> = spin::Mutex::new(None);
/// What came out as it should, and what did not.
static RIGHT: AtomicU64 = AtomicU64::new(0);
static WRONG: AtomicU64 = AtomicU64::new(0);
/// One that is not its own.
static FOREIGN: AtomicU64 = AtomicU64::new(0);

fn expect(is_right: bool) {
    if is_right {
        RIGHT.fetch_add(1, Relaxed)
    } else {
        WRONG.fetch_add(1, Relaxed)
    };
}

/// Who is asked does not give a core away.
fn meddle(core: u32) {
    let package = *PACKAGE.lock();
    let Some(package) = package else { return };
    expect(package.hand_off(Strand::NONE) == Err(Error::Context));
    expect(package.hand_off(Strand::from_word(u64::MAX)) == Err(Error::Context));
    expect(package.current() == Err(Error::Context));
    expect([64, 1_000, u32::MAX].iter().all(|core| package.recall(*core) == Err(Error::BadArgument)));
    // Allowed, if foolish: it wakes and recalls where it is asked.
    expect(package.wake().is_ok() && package.recall(core).is_ok());
}

struct Meddles(Queue);

impl ThreadPackage for Meddles {
    fn resume(&self, core: u32) -> Next {
        meddle(core);
        self.0.next()
    }

    fn checkpoint(&self, _core: u32, strand: Strand, _why: Why) {
        self.0.push(strand);
    }

    fn block(&self, _core: u32, strand: Strand, reason: Reason) -> Option<Strand> {
        self.0.gives_up(strand, reason)
    }

    fn unblock(&self, strand: Strand) {
        self.0.push(strand);
    }
}

fn ask(package: Package) -> Result<bool, Error> {
    let me = package.current()?;
    let foreign = Strand::from_word(FOREIGN.load(Relaxed));
    let bad = [me, foreign, Strand::from_word(u64::MAX), Strand::from_word(me.to_word() ^ 1 << 63)];
    let mut is_right = true;
    for strand in bad {
        is_right &= package.hand_off(strand) == Err(Error::BadArgument);
    }
    Ok(is_right)
}

/// Registers it; asked for nothing it says whether all was as it should be, and else tries more.
pub fn start() -> Result<(), Error> {
    FOREIGN.store(strand::current()?.to_word(), Relaxed);
    let answer = |package, number| match number {
        0 => u64::from(RIGHT.load(Relaxed) > 0 && WRONG.load(Relaxed) == 0),
        _ => {
            // The scheduler's word is the scheduler's.
            expect(raise(&Resume { package: 1, core: 0 }).is_err_and(|error| error == Error::Unbound));
            expect(raise(&Unblock { package: 1, reserved: 0, strand: Strand::NONE }) == Err(Error::Unbound));
            // Of no use where the strand is none of its own, and says so.
            expect(ask(package).unwrap_or_else(|error| error == Error::Context));
            0
        }
    };
    *PACKAGE.lock() =
        Some(tenants_interface::open_for(Builder::new("meddles"), Meddles(Queue::new()), answer)?);
    Ok(())
}
