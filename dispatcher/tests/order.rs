//! In which order handlers run: what they asked for, and what cannot be had.

mod common;

use std::sync::Arc;

use common::{
    Census, Parcel, foreign, ids, install_all, install_raw, intrinsic, remove_all, send, visit, visitors,
};
use dispatcher::{
    BindingId, DomainState, Event, Handler, InstallError,
    Order::{After, Before, First, Last},
    RaiseError, Terms, Verdict,
    host::{Host, World},
};

type Post = Event<Parcel, u32, Host>;

/// What a raise calls, which is also what the event's owner is shown.
fn called(event: &Post) -> Vec<u32> {
    visitors(event, 0)
}

#[test]
fn later_firsts_run_before_earlier_ones_and_later_lasts_after_them() {
    let world = World::new();
    let _core = world.attach();
    let event = Post::new("Test.Ranks", Some(intrinsic)).open();
    let orders = [None, Some(Last), Some(First), Some(Last), Some(First), None];
    let handler = |(number, order): (u32, Option<_>)| match order {
        Some(order) => visit(number).order(order),
        None => visit(number),
    };
    let installed = install_all(&event, (1..).zip(orders).map(handler));
    assert_eq!(called(&event), [5, 3, 0, 1, 6, 2, 4], "the intrinsic one stands first in the middle");
    assert_eq!(send(&event, 0).0, Ok(4), "the result of the last to run");
    let shown = ids(&event);
    let wanted = [5, 3, 0, 1, 6, 2, 4].map(|number: usize| match number {
        0 => BindingId::INTRINSIC,
        number => installed[number - 1],
    });
    assert_eq!(shown, wanted);
    let orders = event.any().info::<Host>().bindings.into_iter().map(|binding| binding.orders);
    let wanted = [vec![First], vec![First], vec![], vec![], vec![], vec![Last], vec![Last]];
    assert_eq!(orders.collect::<Vec<_>>(), wanted);
    remove_all(&event);
    world.drain();
}

#[test]
fn handlers_run_before_and_after_those_that_they_name() {
    let world = World::new();
    let _core = world.attach();
    let event = Post::new("Test.Neighbours", Some(intrinsic)).open();
    let [one, two, three] = [1, 2, 3].map(|number| event.install(visit(number)).unwrap());
    event.install(visit(4).order(Before(two))).unwrap();
    event.install(visit(5).order(Before(BindingId::INTRINSIC))).unwrap();
    event.install(visit(6).order(After(one)).order(Before(three))).unwrap();
    event.install(visit(7).order(After(BindingId::INTRINSIC))).unwrap();
    let order = called(&event);
    let place = |number| order.iter().position(|other| *other == number).unwrap();
    let pairs = [(4, 2), (5, 0), (1, 6), (6, 3), (0, 7), (1, 2), (2, 3)];
    for (earlier, later) in pairs {
        assert!(place(earlier) < place(later), "{earlier} before {later} in {order:?}");
    }
    assert_eq!(order.len(), 8, "each once");
    remove_all(&event);
    world.drain();
}

#[test]
fn who_names_no_rank_joins_that_of_his_neighbour() {
    let world = World::new();
    let _core = world.attach();
    let event = Post::new("Test.Join", Some(intrinsic)).open();
    let first = event.install(visit(1).order(First)).unwrap();
    let last = event.install(visit(2).order(Last)).unwrap();
    event.install(visit(3)).unwrap();
    let joined = event.install(visit(4).order(Before(first))).unwrap();
    event.install(visit(5).order(After(last))).unwrap();
    event.install(visit(6)).unwrap();
    assert_eq!(called(&event), [4, 1, 0, 3, 6, 2, 5]);
    // And so does who follows him who has joined.
    event.install(visit(7).order(Before(joined))).unwrap();
    assert_eq!(called(&event)[..3], [7, 4, 1]);
    remove_all(&event);
    world.drain();
}

/// A handler of which it is seen when its closure is gone.
fn counted(census: &Census) -> Handler<Parcel, u32> {
    let citizen = census.citizen();
    Handler::trusted(move |_: &Parcel| {
        let _here = &citizen;
        99
    })
}

#[test]
fn an_order_that_cannot_be_had_is_an_error_that_changes_nothing() {
    let world = World::new();
    let _core = world.attach();
    let event = Post::new("Test.Cycle", Some(intrinsic)).open();
    let one = event.install(visit(1).order(First)).unwrap();
    let two = event.install(visit(2).order(After(one))).unwrap();
    let three = event.install(visit(3).order(Last)).unwrap();
    let other = Post::new("Test.Other", None).open();
    let stranger = other.install(visit(9)).unwrap();
    let (before, shown) = (called(&event), ids(&event));
    assert_eq!(before, [1, 0, 2, 3]);
    let census = Census::default();
    let make = || counted(&census);
    let cases = [
        (make().order(Before(one)).order(After(two)), InstallError::Cycle),
        (make().order(Before(one)).order(After(one)), InstallError::Cycle),
        (make().order(First).order(Last), InstallError::Cycle),
        (make().order(First).order(First), InstallError::Cycle),
        (make().order(Before(one)).order(Before(two)), InstallError::Cycle),
        (make().order(First).order(After(two)), InstallError::Cycle),
        (make().order(Last).order(Before(BindingId::INTRINSIC)), InstallError::Cycle),
        (make().order(After(three)).order(Before(one)), InstallError::Cycle),
        (make().order(Before(stranger)), InstallError::NoNeighbour(stranger)),
        (make().order(After(stranger)), InstallError::NoNeighbour(stranger)),
        (make().order(Before(one)).order(After(stranger)), InstallError::NoNeighbour(stranger)),
    ];
    for (number, (handler, why)) in cases.into_iter().enumerate() {
        assert_eq!(event.install(handler), Err(why), "case {number}");
        assert_eq!((called(&event), ids(&event)), (before.clone(), shown.clone()), "case {number}");
    }
    assert_eq!(census.alive(), 0, "what was refused is gone at once");
    let gone = other.install(visit(8)).unwrap();
    other.remove(gone).unwrap();
    assert_eq!(other.install(make().order(Before(gone))), Err(InstallError::NoNeighbour(gone)));
    let none = BindingId::INTRINSIC;
    assert_eq!(other.install(make().order(Before(none))), Err(InstallError::NoNeighbour(none)));
    other.remove(stranger).unwrap();
    remove_all(&event);
    world.drain();
}

#[test]
fn an_order_lapses_when_the_neighbour_goes() {
    let world = World::new();
    let _core = world.attach();
    let event = Post::new("Test.Lapse", None).open();
    let [one, two] = [1, 2].map(|number| event.install(visit(number)).unwrap());
    event.install(visit(3).order(Before(one))).unwrap();
    let four = event.install(visit(4).order(After(two)).order(Before(one)));
    assert_eq!(four, Ok(ids(&event)[2]), "two before four before one");
    assert_eq!(called(&event), [2, 3, 4, 1]);
    event.remove(one).unwrap();
    assert_eq!(called(&event), [2, 3, 4]);
    event.remove(two).unwrap();
    assert_eq!(called(&event), [3, 4]);
    event.install(visit(5).order(Before(four.unwrap()))).unwrap();
    assert_eq!(called(&event), [3, 5, 4], "there can be new ones");
    remove_all(&event);
    assert_eq!(send(&event, 0).0, Err(RaiseError::NoHandler));
    world.drain();
}

/// The neighbour that goes is one that gave its rank to the other.
#[test]
fn who_had_joined_a_rank_keeps_it_when_the_neighbour_goes() {
    let world = World::new();
    let _core = world.attach();
    let event = Post::new("Test.LapseRank", None).open();
    let first = event.install(visit(1).order(First)).unwrap();
    install_all(&event, [visit(2), visit(3).order(Before(first))]);
    assert_eq!(called(&event), [3, 1, 2]);
    event.remove(first).unwrap();
    assert_eq!(called(&event), [3, 2]);
    remove_all(&event);
    world.drain();
}

#[test]
fn what_comes_in_anothers_place_has_its_rank_and_neighbours() {
    let world = World::new();
    let _core = world.attach();
    let event = Post::new("Test.Place", Some(intrinsic)).open();
    let one = event.install(visit(1).order(First)).unwrap();
    let two = event.install(visit(2)).unwrap();
    install_all(&event, [visit(3).order(Before(one)), visit(4).order(After(two)), visit(5)]);
    assert_eq!(called(&event), [3, 1, 0, 2, 4, 5]);
    let ten = event.replace(one, visit(10)).unwrap();
    let twenty = event.replace(two, visit(20)).unwrap();
    assert_eq!(called(&event), [3, 10, 0, 20, 4, 5], "at the same places");
    assert_eq!(event.remove(one), Err(InstallError::Unknown), "it has another name");
    // The neighbours follow the new ones now, and no longer once those are gone.
    let eleven = event.replace(ten, visit(11).order(Last)).unwrap();
    assert_eq!(
        called(&event),
        [3, 0, 20, 4, 5, 11],
        "it asked for another place, and whoever joined the other's rank keeps that"
    );
    event.remove(eleven).unwrap();
    event.remove(twenty).unwrap();
    assert_eq!(called(&event), [3, 0, 4, 5]);
    assert_eq!(event.replace(twenty, visit(6)), Err(InstallError::Unknown));
    remove_all(&event);
    world.drain();
}

#[test]
fn who_comes_in_anothers_place_cannot_stand_before_it() {
    let world = World::new();
    let _core = world.attach();
    let event = Post::new("Test.Itself", None).open();
    let [one, two] = [1, 2].map(|number| event.install(visit(number)).unwrap());
    let three = event.install(visit(3).order(After(two))).unwrap();
    let census = Census::default();
    for order in [Before(one), After(one)] {
        assert_eq!(event.replace(one, counted(&census).order(order)), Err(InstallError::Cycle));
    }
    let circle = counted(&census).order(After(three));
    assert_eq!(event.replace(two, circle), Err(InstallError::Cycle));
    assert_eq!((called(&event), ids(&event)), (vec![1, 2, 3], vec![one, two, three]));
    assert_eq!(census.alive(), 0);
    remove_all(&event);
    world.drain();
}

/// Someone stands in the place of an earlier one, and asks to run before a later one that is first: so
/// he runs ahead of the middle, too.
#[test]
fn the_rank_of_a_later_neighbour_counts_as_well() {
    let world = World::new();
    let _core = world.attach();
    let event = Post::new("Test.Later", None).open();
    let installed = install_all(&event, [visit(1), visit(2), visit(3).order(First)]);
    event.replace(installed[1], visit(20).order(Before(installed[2]))).unwrap();
    assert_eq!(called(&event), [20, 3, 1]);
    event.replace(installed[0], visit(10).order(After(installed[2]))).unwrap();
    assert_eq!(called(&event), [20, 3, 10]);
    remove_all(&event);
    world.drain();
}

#[test]
fn an_order_that_the_owner_gives_comes_on_top_of_what_was_asked() {
    let world = World::new();
    let _core = world.attach();
    let event = Post::new("Test.Given", Some(intrinsic));
    event.claim().unwrap().authorize(|_| Verdict::Allow(Terms::free().order(Before(BindingId::INTRINSIC))));
    let one = event.install(visit(1)).unwrap();
    let domain = Arc::new(DomainState::new(4));
    let guest = |parcel: &Parcel| {
        parcel.visitors.borrow_mut().push(2);
        2
    };
    install_raw(&event, foreign(&domain, &guest)).unwrap();
    assert_eq!(send(&event, 0), (Ok(100), vec![1, 2, 0]));
    event.install(visit(3).order(After(one))).unwrap();
    let order = called(&event);
    assert_eq!(order.last(), Some(&0), "{order:?}");
    assert_eq!(event.install(visit(4).order(Last)), Err(InstallError::Cycle));
    remove_all(&event);
    world.drain();
}
