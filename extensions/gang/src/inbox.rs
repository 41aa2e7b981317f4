//! What applications ask for, on its way to the virtual processors.
//!
//! These are more urgent than the strands of applications: one that loses its core with a lock in its hand would
//! be waited for in vain. So the two meet nowhere but here, and a virtual processor that finds the inbox locked
//! comes again later.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use gang_interface::answer;
use spindle::{Strand, package::Package, strand};

/// How long an application waits for another one that is just writing, in nanoseconds.
const PAUSE_NS: u64 = 10_000;

/// The most groups at a time.
const MOST_GROUPS: usize = 256;

/// What is asked for.
pub enum Request {
    /// A group of so many, on these cores.
    New { group: u64, size: u32, cores: u64 },
    /// The strand is a member.
    Join { group: u64, strand: Strand },
    /// There are no more members to come.
    Close { group: u64 },
}

static INBOX: spin::Mutex<Vec<Request>> = spin::Mutex::new(Vec::new());
static LAST: AtomicU64 = AtomicU64::new(answer::LAST);
/// How many groups there are, or are asked for.
static GROUPS: AtomicUsize = AtomicUsize::new(0);

/// By an application. It must not spin: it may be more urgent than the one who has the lock.
fn put(request: Request) {
    loop {
        if let Some(mut inbox) = INBOX.try_lock() {
            return inbox.push(request);
        }
        // A strand that shall end does not sleep, but lets others run.
        if strand::sleep(PAUSE_NS).is_err() {
            let _ = strand::yield_now();
        }
    }
}

/// By a virtual processor: what there is; nothing if somebody is just writing.
pub fn take() -> Option<Vec<Request>> {
    INBOX.try_lock().map(|mut inbox| core::mem::take(&mut *inbox))
}

/// By a virtual processor, which has counted the groups.
pub fn note(groups: usize) {
    // Relaxed: a limit that need not be exact.
    GROUPS.store(groups, Ordering::Relaxed);
}

/// Asks for a group of so many, where there are so many cores; its number, or why not.
pub fn new_group(package: Package, size: u64, cores: u32) -> u64 {
    if size == 0 {
        return answer::EMPTY;
    }
    if size > u64::from(cores) {
        return answer::TOO_LARGE;
    }
    if GROUPS.fetch_add(1, Ordering::Relaxed) >= MOST_GROUPS {
        GROUPS.fetch_sub(1, Ordering::Relaxed);
        // They are counted anew: some may be of nobody any more.
        let _ = package.wake();
        return answer::FULL;
    }
    let group = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    let cores = u64::MAX >> (u64::BITS - cores);
    put(Request::New { group, size: size as u32, cores });
    group
}

/// Asks for something, and has it looked at.
pub fn post(package: Package, request: Request) -> u64 {
    put(request);
    // If none is idle, one will look soon. If the package was ejected there is nobody to look.
    let _ = package.wake();
    answer::DONE
}
