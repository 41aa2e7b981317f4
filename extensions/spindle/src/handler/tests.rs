extern crate alloc;

use super::*;
use crate::demo::Hello;
use alloc::sync::Arc;

crate::plain! {
    pub struct Inner { pub a: u8, pub b: i16 }
}
crate::events! { "Test":
    pub event Packet { pub inner: Inner, pub port: u16, pub parts: [u32; 2], pub is_last: bool } -> ();
}

fn nothing(_: &Packet) {}

#[test]
fn keys_are_where_their_fields_are() {
    use core::mem::offset_of;
    let all = handler(nothing)
        .key(|packet| &packet.inner.b, -2)
        .key(|packet| &packet.port, 80)
        .key(|packet| &packet.parts[1], 7)
        .key(|packet| &packet.is_last, true);
    let keys: alloc::vec::Vec<_> = all.wanted.guards[..4]
        .iter()
        .map(|guard| (guard.kind, guard.place, guard.width, guard.value))
        .collect();
    let inner = offset_of!(Packet, inner) + offset_of!(Inner, b);
    assert_eq!(
        keys,
        [
            (KEY, inner, 2, 0xfffe),
            (KEY, offset_of!(Packet, port), 2, 80),
            (KEY, offset_of!(Packet, parts) + 4, 4, 7),
            (KEY, offset_of!(Packet, is_last), 1, 1),
        ]
    );
    assert_eq!(all.wanted.guard_count, 4);
}

#[test]
fn a_key_outside_of_the_arguments_is_an_error() {
    static ELSEWHERE: u64 = 3;
    let strange = handler(nothing).key(|_| &ELSEWHERE, 3);
    assert_eq!(strange.wanted.guard_count, 0);
    assert_eq!(strange.install(), Err(Error::BadArgument));
}

#[test]
fn too_many_conditions_and_contradictions_are_told() {
    let guarded = (0..MOST_GUARDS).fold(handler(nothing), |handler, _| handler.when(|_| true));
    assert_eq!(guarded.error, None);
    assert_eq!(guarded.when(|_| true).install(), Err(Error::Limit));
    assert_eq!(handler(nothing).order(Order::First).order(Order::Last).install(), Err(Error::Order));
    let before = Order::Before(Binding::INTRINSIC);
    assert_eq!(handler(nothing).order(before).order(before).install(), Err(Error::Order));
    let between = handler(nothing).order(before).order(Order::After(Binding::INTRINSIC));
    assert_eq!(between.install(), Err(Error::Unbound), "only the kernel knows that this is a circle");
}

#[test]
fn what_was_not_installed_is_dropped() {
    let token = Arc::new(());
    let (one, two, three) = (token.clone(), token.clone(), token.clone());
    let handler = handler(move |hello: &Hello| hello.number + Arc::strong_count(&one) as u64)
        .when(move |_| Arc::strong_count(&two) > 0)
        .when(move |_| Arc::strong_count(&three) > 0);
    assert_eq!(Arc::strong_count(&token), 4);
    assert_eq!(handler.install(), Err(Error::Unbound));
    assert_eq!(Arc::strong_count(&token), 1);
}

#[test]
fn what_was_drained_is_dropped_and_what_captures_nothing_takes_no_memory() {
    let mut captures = Captures::default();
    captures.handler(nothing);
    captures.predicate(|_: &Packet| true);
    assert!(captures.leak().is_null());
    let token = Arc::new(());
    let captured = token.clone();
    let mut captures = Captures::default();
    captures.filter(move |_: &mut Packet| assert!(Arc::strong_count(&captured) > 0));
    let leaked = captures.leak();
    assert_eq!(Arc::strong_count(&token), 2);
    // SAFETY: leaked a moment ago, and never installed.
    unsafe { Captures::drop_leaked(leaked) };
    assert_eq!(Arc::strong_count(&token), 1);
}

#[test]
fn procedures_are_called_as_the_kernel_calls_them() {
    type Code = unsafe extern "C" fn(*const (), *const (), *mut ());
    let mut captures = Captures::default();
    let run = |words: Words, hello: &mut Hello| {
        // SAFETY: these words are of code in this form.
        let code = unsafe { core::mem::transmute::<usize, Code>(words.code) };
        let mut result = 0_u64;
        let args = ptr::from_mut(hello).cast_const().cast();
        let closure = ptr::with_exposed_provenance(words.closure);
        // SAFETY: with the closure that goes with it, and arguments and result of its types.
        unsafe { code(closure, args, (&raw mut result).cast()) };
        result
    };
    let offset = 5;
    let mut hello = Hello { number: 4, core: 1 };
    assert_eq!(run(captures.handler(move |hello: &Hello| hello.number + offset), &mut hello), 9);
    let doubles = captures.filter(|hello: &mut Hello| {
        hello.number *= 2;
        1
    });
    assert_eq!((run(doubles, &mut hello), hello.number), (1, 8));
    assert_eq!(run(captures.predicate(|hello: &Hello| hello.core == 1), &mut hello), 1);
    assert_eq!(run(captures.predicate(|hello: &Hello| hello.core == 2), &mut hello), 0);
}
