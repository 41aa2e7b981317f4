//! Random programs: what somebody does with two events.
//!
//! A program is plain data. Whom an operation is about is a [`Pick`], which is looked up when the
//! operation is run; so any part of a program is a program, and one that fails can be made shorter.

use alloc::vec::Vec;

use crate::Dice;

/// The arguments of the events: keys of every width.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Args {
    /// Eight bytes.
    pub number: u64,
    /// Four bytes.
    pub port: u32,
    /// Two bytes.
    pub kind: u16,
    /// One byte.
    pub flag: u8,
    /// One byte with a sign.
    pub sign: i8,
    /// Where calls are written down: the lane of the program that runs.
    pub lane: u32,
}

/// One of the two events: the first has no intrinsic handler at first, the second has one.
pub type Side = usize;

/// Some binding: which one is seen when the operation is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pick(pub u32);

/// A field that handlers are keyed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Field {
    /// `Args::number`.
    Number,
    /// `Args::port`.
    Port,
    /// `Args::kind`.
    Kind,
    /// `Args::flag`.
    Flag,
    /// `Args::sign`.
    Sign,
}

/// One condition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Test {
    /// The field has this value, of which only the field's own bytes count.
    Key(Field, u64),
    /// The number is even.
    IsEven,
    /// The port is below this one.
    PortBelow(u32),
    /// The kind is another.
    KindIsNot(u16),
    /// Never holds.
    Never,
}

/// What a filter does to the arguments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filter {
    /// Adds to the number.
    Add(u64),
    /// Sets the port.
    Port(u32),
    /// Sets the kind and the flag.
    Kind(u16),
}

/// A place among the handlers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// Ahead of all others.
    First,
    /// Behind all others.
    Last,
    /// Before that one.
    Before(Pick),
    /// After that one.
    After(Pick),
}

/// A handler.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Spec {
    /// Its guards.
    pub tests: Vec<Test>,
    /// Its place.
    pub wishes: Vec<Wish>,
    /// What it does to the arguments, if it is a filter.
    pub filter: Option<Filter>,
    /// It has a time bound, which it keeps.
    pub is_bounded: bool,
}

/// How results are merged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Policy {
    /// The last one.
    Last,
    /// The first one.
    First,
    /// A fold that tells every order apart.
    Fold,
    /// The owner's own, which looks at the bindings too.
    Own,
}

/// What the owner says when he is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// Filters are denied.
    pub denies_filters: bool,
    /// Replacing is denied.
    pub denies_replacing: bool,
    /// Who comes in is called only if this holds too.
    pub imposes: Option<Test>,
    /// Who comes in stands last.
    pub puts_last: bool,
}

/// One change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Installs a handler.
    Install(Side, Spec),
    /// Removes one, *now*.
    Remove(Side, Pick),
    /// Puts one in the place of another.
    Replace(Side, Pick, Spec),
}

/// One operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// Raises the event.
    Raise(Side, Args),
    /// One change by itself.
    Change(Step),
    /// Removes a binding, *drained*.
    Drain(Side, Pick),
    /// Several changes, all or nothing.
    Transaction(Vec<Step>),
    /// Removes all.
    Clear(Side),
    /// Imposes a guard.
    Impose(Side, Pick, Test),
    /// Lifts one that was imposed, or tries to.
    Lift(Side, Pick, Pick),
    /// Sets the policy.
    Merge(Side, Policy),
    /// Sets the default handler, or takes it away.
    Default(Side, Option<u8>),
    /// Sets the intrinsic handler, or takes it away.
    Intrinsic(Side, Option<u8>),
    /// Sets how many handlers there may be.
    Limit(Side, usize),
    /// Sets the authorizer.
    Authorize(Side, Rules),
    /// Watches the event, or no more.
    Watch(Side, bool),
}

const FIELDS: [Field; 5] = [Field::Number, Field::Port, Field::Kind, Field::Flag, Field::Sign];

/// The program of that seed, with so many operations.
pub fn generate(seed: u64, length: usize) -> Vec<Op> {
    let mut dice = Dice::new(seed);
    // Some programs hold many, some change much: one temper for each.
    let temper =
        Temper { raises: dice.of(&[2, 5, 9]), wishes: dice.of(&[2, 4, 40]), filters: dice.of(&[4, 40]) };
    (0..length).map(|_| temper.op(&mut dice)).collect()
}

/// What a program is inclined to.
struct Temper {
    /// So many in ten operations are raises.
    raises: usize,
    /// One handler in so many wishes for a place.
    wishes: usize,
    /// One handler in so many is a filter.
    filters: usize,
}

impl Temper {
    fn op(&self, dice: &mut Dice) -> Op {
        let side = dice.below(2);
        if dice.below(10) < self.raises {
            return Op::Raise(side, args(dice));
        }
        match dice.below(40) {
            0..18 => Op::Change(self.step(dice)),
            18 => Op::Drain(side, pick(dice)),
            19..22 => Op::Transaction((0..dice.below(5)).map(|_| self.step(dice)).collect()),
            22..25 => Op::Transaction(crowd(side, dice)),
            25 => Op::Clear(side),
            26..29 => Op::Impose(side, pick(dice), test(dice)),
            29 => Op::Lift(side, pick(dice), pick(dice)),
            30..33 => Op::Merge(side, dice.of(&[Policy::Last, Policy::First, Policy::Fold, Policy::Own])),
            33 => Op::Default(side, dice.of(&[None, Some(0), Some(1)])),
            34..36 => Op::Intrinsic(side, dice.of(&[None, None, Some(0), Some(1)])),
            36 => Op::Limit(side, dice.of(&[3, 10, 100, 100])),
            37 => Op::Authorize(side, rules(dice)),
            _ => Op::Watch(side, dice.one_in(3)),
        }
    }

    fn step(&self, dice: &mut Dice) -> Step {
        let side = dice.below(2);
        match dice.below(10) {
            0..6 => Step::Install(side, self.spec(dice)),
            6..8 => Step::Remove(side, pick(dice)),
            _ => Step::Replace(side, pick(dice), self.spec(dice)),
        }
    }

    fn spec(&self, dice: &mut Dice) -> Spec {
        let wishes = if dice.one_in(self.wishes) { 1 + dice.below(8) / 6 } else { 0 };
        let tests = dice.of(&[0, 0, 1, 1, 1, 2, 3]);
        Spec {
            tests: (0..tests).map(|_| test(dice)).collect(),
            wishes: (0..wishes).map(|_| wish(dice)).collect(),
            filter: dice.one_in(self.filters).then(|| filter(dice)),
            is_bounded: dice.one_in(25),
        }
    }
}

/// Many handlers under values of one key, at times with others among them.
fn crowd(side: Side, dice: &mut Dice) -> Vec<Step> {
    let (field, count) = (dice.of(&FIELDS), 3 + dice.below(20));
    let is_mixed = dice.one_in(2);
    let handler = |value| {
        let mut tests = alloc::vec![Test::Key(field, value as u64)];
        if is_mixed && dice.one_in(4) {
            tests.insert(0, test(dice));
        }
        if is_mixed && dice.one_in(6) {
            tests.remove(tests.len() - 1);
        }
        Step::Install(side, Spec { tests, ..Spec::default() })
    };
    (0..count).map(handler).collect()
}

fn args(dice: &mut Dice) -> Args {
    // Few values, so that keys meet them.
    Args {
        number: value(dice),
        port: dice.below(6) as u32,
        kind: dice.below(4) as u16,
        flag: dice.below(3) as u8,
        sign: dice.of(&[-1, 0, 1, 2]),
        lane: 0,
    }
}

fn value(dice: &mut Dice) -> u64 {
    if dice.one_in(12) { dice.next() } else { dice.below(6) as u64 }
}

fn test(dice: &mut Dice) -> Test {
    match dice.below(12) {
        0..7 => {
            // More bytes than a narrow field has: they do not count.
            let beyond = if dice.one_in(6) { dice.next() << 32 } else { 0 };
            let field = dice.of(&FIELDS);
            let value = if field == Field::Sign && dice.one_in(4) { u64::MAX } else { value(dice) };
            Test::Key(field, value | if field == Field::Number { 0 } else { beyond })
        }
        7 | 8 => Test::IsEven,
        9 => Test::PortBelow(dice.below(6) as u32),
        10 => Test::KindIsNot(dice.below(4) as u16),
        _ => Test::Never,
    }
}

fn wish(dice: &mut Dice) -> Wish {
    match dice.below(6) {
        0 => Wish::First,
        1 => Wish::Last,
        2 | 3 => Wish::Before(pick(dice)),
        _ => Wish::After(pick(dice)),
    }
}

fn filter(dice: &mut Dice) -> Filter {
    match dice.below(3) {
        0 => Filter::Add(1 + dice.below(3) as u64),
        1 => Filter::Port(dice.below(6) as u32),
        _ => Filter::Kind(dice.below(4) as u16),
    }
}

fn rules(dice: &mut Dice) -> Rules {
    Rules {
        denies_filters: dice.one_in(3),
        denies_replacing: dice.one_in(4),
        imposes: dice.one_in(3).then(|| test(dice)),
        puts_last: dice.one_in(4),
    }
}

fn pick(dice: &mut Dice) -> Pick {
    Pick((dice.next() >> 40) as u32)
}
