//! Several changes at once, by both.

use alloc::{string::String, vec::Vec};

use dispatcher::{BindingId, Processor, Transaction};

use super::{
    Answer,
    model::Incoming,
    program::{Side, Step, Test},
    runner::{Both, same},
};

impl<R: Answer, P: Processor> Both<'_, R, P> {
    /// Asks the owners first, about all steps, and then makes them one by one.
    pub(super) fn transaction(&mut self, steps: &[Step]) -> Result<(), String> {
        enum Ready {
            In(Side, Option<BindingId>, Incoming, Option<Test>),
            Out(Side, BindingId),
        }
        let mut transaction = Transaction::<P>::new();
        let (mut ready, mut denied) = (Vec::new(), None);
        for (number, step) in steps.iter().enumerate() {
            let (side, old, spec) = match step {
                Step::Remove(side, pick) => {
                    let id = self.look_up(*side, *pick);
                    transaction = transaction.remove(self.sides[*side].event, id);
                    ready.push(Ready::Out(*side, id));
                    continue;
                }
                Step::Install(side, spec) => (*side, None, spec),
                Step::Replace(side, pick, spec) => (*side, Some(self.look_up(*side, *pick)), spec),
            };
            let (mut incoming, handler) = self.handler(side, spec);
            let event = self.sides[side].event;
            transaction = match old {
                None => transaction.install(event, handler),
                Some(old) => transaction.replace(event, old, handler),
            };
            match self.sides[side].model.ask(&mut incoming, old.is_some()) {
                Ok(imposed) => ready.push(Ready::In(side, old, incoming, imposed)),
                Err(why) => denied = denied.or(Some((number, why))),
            }
        }
        let got = transaction.commit().map_err(|failure| (failure.step, failure.why));
        let mut ids = got.clone().unwrap_or_default().into_iter();
        let mut models = [self.sides[0].model.clone(), self.sides[1].model.clone()];
        let mut wanted = denied.map_or(Ok(()), Err);
        let mut last_of = [0, 0];
        let expected = ready.iter().filter(|step| matches!(step, Ready::In(..))).count();
        for (number, step) in ready.into_iter().enumerate() {
            if wanted.is_err() {
                break;
            }
            let (side, done) = match step {
                Ready::Out(side, id) => (side, models[side].remove(id)),
                Ready::In(side, old, mut incoming, imposed) => {
                    // One that is known to nobody else, if it was refused.
                    incoming.id = ids.next().unwrap_or(BindingId::from_number(u64::MAX - 1 - number as u64));
                    match old {
                        None => (side, models[side].install(incoming, imposed)),
                        Some(old) => (side, models[side].replace(old, incoming, imposed)),
                    }
                }
            };
            last_of[side] = number;
            wanted = done.map_err(|why| (number, why));
        }
        // The events lie in no particular order, so of two contradictions either may be named.
        let orders = [0, 1].map(|side| models[side].order().err().map(|why| (last_of[side], why)));
        if let (Ok(()), Some(one)) = (wanted, orders[0].or(orders[1])) {
            wanted = Err(one);
            if got.as_ref().err().is_some_and(|got| orders.contains(&Some(*got))) {
                wanted = got.clone().map(drop);
            }
        }
        match &got {
            Ok(ids) => same("new bindings", ids.len(), expected)?,
            Err((_, why)) => self.coverage.refused(*why),
        }
        self.known.extend(got.iter().flatten());
        same("transaction", got.map(drop), wanted)?;
        if wanted.is_ok() {
            for (half, model) in self.sides.iter_mut().zip(models) {
                half.model = model;
            }
        }
        Ok(())
    }
}
