//! What the tests of the dispatcher share.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use dispatcher::{
    BindingId, DomainState, EnterError, Event, Handler, InstallError, Passage, Progress, RaiseError, enter,
    guard::RawGuard,
    handler::RawHandler,
    host::{Host, World},
    plan::PlanKind,
};

/// Counts what is alive of something.
#[derive(Clone, Default)]
pub struct Census(Arc<AtomicUsize>);

/// One that is counted while it lives.
pub struct Citizen(Arc<AtomicUsize>);

impl Census {
    pub fn citizen(&self) -> Citizen {
        self.0.fetch_add(1, Ordering::Relaxed);
        Citizen(self.0.clone())
    }

    pub fn alive(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for Citizen {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

/// A trusted handler that is counted while it lives.
pub fn counted(census: &Census, result: u32) -> Handler<u32, u32> {
    let citizen = census.citizen();
    Handler::trusted(move |_: &u32| {
        let _here = &citizen;
        result
    })
}

/// `procedure` as a domain's code, see [`install_foreign`].
pub fn foreign<A: 'static, R: Copy + 'static, F: Fn(&A) -> R + Sync>(
    domain: &Arc<DomainState>,
    procedure: &F,
) -> RawHandler {
    // SAFETY: the tests keep `procedure` until nothing can call it any more.
    unsafe { RawHandler::foreign(call::<A, R, F>, std::ptr::from_ref(procedure).cast(), domain.clone()) }
}

/// Installs `procedure` as a domain's code. It is borrowed, as code and closure of a domain are by the
/// core: it must outlive the binding and the grace period after its removal.
pub fn install_foreign<A: 'static, R: Copy + 'static, F: Fn(&A) -> R + Sync>(
    event: &Event<A, R, Host>,
    domain: &Arc<DomainState>,
    procedure: &F,
) -> Result<BindingId, InstallError> {
    let handler = foreign::<A, R, F>(domain, procedure);
    // SAFETY: `call` takes an `A` and writes an `R`.
    unsafe { event.install_raw(handler) }
}

/// The code of a domain's procedure, as its glue would have it.
///
/// # Safety
///
/// `closure` points to an `F`, `args` to an `A`, `result` to room for an `R`.
pub unsafe extern "C" fn call<A, R, F: Fn(&A) -> R>(closure: *const (), args: *const (), result: *mut ()) {
    // SAFETY: by the contract.
    let procedure = unsafe { &*closure.cast::<F>() };
    // SAFETY: by the contract.
    let args = unsafe { &*args.cast::<A>() };
    // SAFETY: by the contract.
    unsafe { result.cast::<R>().write(procedure(args)) }
}

/// Runs `body` on a thread without a core, as another core's strand, and waits for it.
pub fn elsewhere<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(body).join().expect("it does not panic"))
}

/// A small seeded generator (xorshift64*), the same on every run.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides
    }
}

/// A domain's predicate; `procedure` is borrowed as in [`install_foreign`].
pub fn foreign_guard<A, T, F: Fn(&A) -> T + Sync>(domain: &Arc<DomainState>, procedure: &F) -> RawGuard {
    // SAFETY: the tests keep `procedure` until nothing can call it any more.
    unsafe { RawGuard::foreign(call::<A, T, F>, std::ptr::from_ref(procedure).cast(), domain.clone()) }
}

/// Installs what [`foreign`] made.
pub fn install_raw<A: 'static, R: Copy + 'static>(
    event: &Event<A, R, Host>,
    handler: RawHandler,
) -> Result<BindingId, InstallError> {
    // SAFETY: the tests make handlers of the event's types.
    unsafe { event.install_raw(handler) }
}

/// Gives what [`foreign`] made a guard that takes the same arguments.
pub fn guarded(handler: RawHandler, guard: RawGuard) -> RawHandler {
    // SAFETY: the tests make guards of the handler's types.
    unsafe { handler.guarded(guard) }
}

/// What a raise of the event runs now.
pub fn kind<A: 'static, R: Copy + 'static>(event: &Event<A, R, Host>) -> PlanKind {
    event.any().info::<Host>().kind
}

/// The event's bindings in the order in which they run.
pub fn ids<A: 'static, R: Copy + 'static>(event: &Event<A, R, Host>) -> Vec<BindingId> {
    event.any().info::<Host>().bindings.iter().map(|binding| binding.id).collect()
}

/// Arguments that say where they go, and note who was called.
#[derive(Default)]
pub struct Parcel {
    pub port: u32,
    pub tag: u16,
    pub visitors: RefCell<Vec<u32>>,
}

/// A handler that notes its number and returns it.
pub fn visit(number: u32) -> Handler<Parcel, u32> {
    Handler::trusted(move |parcel: &Parcel| {
        parcel.visitors.borrow_mut().push(number);
        number
    })
}

/// An intrinsic handler that notes 0 and returns 100.
pub fn intrinsic(parcel: &Parcel) -> u32 {
    parcel.visitors.borrow_mut().push(0);
    100
}

/// Raises for a port; says who was called, too.
pub fn send(event: &Event<Parcel, u32, Host>, port: u32) -> (Result<u32, RaiseError>, Vec<u32>) {
    let parcel = Parcel { port, ..Parcel::default() };
    let result = event.raise(&parcel);
    (result, parcel.visitors.into_inner())
}

/// Who is called by a raise for a port.
pub fn visitors(event: &Event<Parcel, u32, Host>, port: u32) -> Vec<u32> {
    send(event, port).1
}

/// A domain's procedure, entered outside of any event.
pub fn enter_with<F: Fn(&u32) -> u32 + Sync>(domain: &DomainState, procedure: &F) -> Result<u32, EnterError> {
    let mut result = 0_u32;
    // SAFETY: the procedure outlives the call, and the pointers fit its code.
    let outcome = unsafe {
        enter::<Host>(
            Passage::Call,
            domain,
            call::<u32, u32, F>,
            std::ptr::from_ref(procedure).cast(),
            (&raw const *const { &20_u32 }).cast(),
            (&raw mut result).cast(),
        )
    };
    outcome.map(|()| result)
}

/// One step of the housekeeper that nudges nobody; panics where the round before is not over.
pub fn outer_round(world: &'static World) -> Progress {
    let before = world.rounds();
    let progress = elsewhere(|| world.keep());
    assert!(world.rounds() > before, "the round is not over: the core has not repinned");
    progress
}

/// Installs each.
pub fn install_all<A: 'static, R: Copy + 'static>(
    event: &Event<A, R, Host>,
    handlers: impl IntoIterator<Item = Handler<A, R>>,
) -> Vec<BindingId> {
    handlers.into_iter().map(|handler| event.install(handler).expect("nothing speaks against it")).collect()
}

/// Removes whatever is installed.
pub fn remove_all<A: 'static, R: Copy + 'static>(event: &Event<A, R, Host>) {
    let ids = ids(event).into_iter().filter(|id| *id != BindingId::INTRINSIC);
    ids.for_each(|id| event.remove(id).expect("it was installed"));
}

/// So many, or fewer where all is slow.
pub const fn many(count: usize) -> usize {
    if cfg!(miri) { count.div_ceil(100) } else { count }
}
