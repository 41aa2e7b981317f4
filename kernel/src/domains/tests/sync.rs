//! Strands of spindles that wait for each other by the kit's own primitives.

use super::{hello, loaded, unload, wait_for_funerals};
use crate::ktest::{Level, everywhere, ktest, wait_until};

#[ktest]
fn spindles_wait_for_each_other() {
    let before = Level::settled();
    loaded("waits");
    for count in [1, 2, 20] {
        assert_eq!(hello(count), Ok(50 * count));
    }
    everywhere(|core| {
        let count = 2 + core as u64 % 4;
        assert_eq!(hello(count), Ok(50 * count));
    });
    assert_eq!(unload("waits"), Ok(()));
    assert_eq!(Level::settled(), before);
}

/// Its strands are cut where they stand, in line or with the lock in their hands: nothing of it is left, and nobody else
/// notices.
#[ktest]
fn a_spindle_fails_while_its_strands_wait() {
    let before = Level::settled();
    for _ in 0..5 {
        let domain = loaded("waits");
        assert!(hello(0).is_err(), "the one who was asked fails");
        wait_until("it has failed", || !domain.is_open());
        drop(domain);
        wait_for_funerals();
        // Whoever has its stack now goes on in peace.
        loaded("forks");
        assert_eq!(hello(20), Ok((0..20).sum()));
        assert_eq!(unload("forks"), Ok(()));
    }
    assert_eq!(Level::settled(), before);
}
