//! `Demo.Guarded`: an event with an owner, to see what authority does.

use dispatcher::{
    Event, Guard, Request, Terms, Verdict,
    event::Overrun,
    post::{OnFull, Place, Posting},
};
use spindle::demo::Guarded;

use crate::strands::Cpu;

/// How long a handler of `Demo.Guarded` may run at a time, in nanoseconds: long enough that none is late only
/// because a virtual core had to wait for a real one.
const BOUND_NS: u64 = 200_000_000;

/// `Demo.Guarded`. The kernel owns it: it answers by itself, and others on its terms.
pub static GUARDED: Event<Guarded, u64, Cpu> =
    Event::new(<Guarded as spindle::Event>::NAME, Some(|guarded| guarded.number + 1));

/// Takes it into the kernel's care. Once.
pub(super) fn init() {
    let authority = GUARDED.claim().expect("its owner is the first to ask");
    authority.authorize(admit);
    let posting = Posting { place: Place::Here, capacity: 64, on_full: OnFull::Refuse };
    authority.take_posts(posting).expect("there is memory for a queue while the kernel comes up");
    authority.on_overrun(Some(tell)).expect("there is memory for a plan while the kernel comes up");
}

/// Who may install, and on what terms.
fn admit(request: &Request) -> Verdict<Guarded> {
    if request.is_filter {
        return Verdict::Deny("no filters");
    }
    let is_even = Guard::predicate(|guarded: &Guarded| guarded.number.is_multiple_of(2));
    Verdict::Allow(Terms::free().imposing(is_even).bounded_ns(BOUND_NS))
}

fn tell(overrun: Overrun) {
    let what = if overrun.was_cut { "was cut" } else { "was late" };
    log::warn!(
        "Demo.Guarded: handler {} {what}: it ran for more than {} ms",
        overrun.binding,
        BOUND_NS / 1_000_000
    );
}
