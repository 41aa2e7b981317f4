//! The kernel's interfaces: one declaration each, which both sides compile against.

/// Time.
pub mod clock {
    crate::interface::interface! { "Clock":
        /// Nanoseconds since the kernel began. Cost: one read of the time-stamp counter.
        ///
        /// # Errors
        ///
        /// [`Error::Unbound`](crate::Error::Unbound) where it is not to be had.
        Now => now() -> u64;
    }
}

/// The processor under the caller.
pub mod processor {
    crate::interface::interface! { "Processor":
        /// The core that runs the caller at this moment; it may be another one at the next.
        ///
        /// # Errors
        ///
        /// [`Error::Unbound`](crate::Error::Unbound) where it is not to be had.
        Core => core() -> u32;
        /// How many cores are running.
        ///
        /// # Errors
        ///
        /// [`Error::Unbound`](crate::Error::Unbound) where it is not to be had.
        Cores => cores() -> u32;
    }
}

/// Raw forms of what [`strand`](crate::strand) does. Words stand for code and for closures, so nobody else can
/// call these.
pub mod strand {
    mod raw {
        use crate::{plain::Text, strand::Spawning};

        crate::interface::interface! { "Strand":
            /// Sleeps for so many nanoseconds, at least.
            Sleep => sleep(nanoseconds: u64);
            /// Lets others run on this core first.
            Yield => yield_now();
            /// Makes a strand, and returns its name.
            Spawn => spawn(wanted: &Spawning, name: Text<'_>) -> u64;
            /// Waits until no code runs on the strand of that name any more.
            Join => join(strand: u64);
            /// Asks the strand of that name to end.
            Terminate => terminate(strand: u64);
            /// Should the running strand end?
            IsTerminated => is_terminated() -> bool;
            /// The name of the running strand.
            Current => current() -> u64;
            /// Waits until the running strand is unblocked.
            Block => block();
            /// Waits until the running strand is unblocked, or until then.
            BlockUntil => block_until(deadline_ns: u64);
            /// Lets the strand of that name go on.
            Unblock => unblock(strand: u64);
        }
    }
    pub use raw::{Block, BlockUntil, Current, IsTerminated, Join, Sleep, Spawn, Terminate, Unblock, Yield};
    pub(crate) use raw::{
        block, block_until, current, is_terminated, join, sleep, spawn, terminate, unblock, yield_now,
    };
}

/// Events to play with.
pub mod demo {
    crate::events! { "Demo":
        /// `Demo.Hello`: the console's `raise Demo.Hello N` raises it N times on every core.
        pub event Hello {
            /// Counts the raises of one core, from 0.
            pub number: u64,
            /// The core that raises.
            pub core: u32,
        } -> u64;

        /// `Demo.Guarded`: as `Demo.Hello`, but it has an owner, the kernel, who lets others in on his
        /// terms. He answers himself, with the number plus one; handlers of spindles are called for even
        /// numbers only, run for at most 200 ms at a time, and none of them may be a
        /// [`filter`](crate::filter). It takes asynchronous raises, 64 at a time.
        pub event Guarded {
            /// Counts the raises of one core, from 0.
            pub number: u64,
            /// The core that raises.
            pub core: u32,
        } -> u64;

        /// `Demo.Heard`: a handler of `Demo.Hello` tells the kernel that it was called. The kernel
        /// counts, and answers with the count for that core.
        pub event Heard {
            /// The core that had raised.
            pub core: u32,
        } -> u64;
    }
}

/// Raw forms of what [`Handler`](crate::Handler) and its like do: pointers are sound only as the kit makes
/// them, so nobody else can call these.
pub mod dispatcher {
    mod raw {
        use crate::{
            installation::{Exportation, Installation},
            plain::Text,
        };

        crate::interface::interface! { "Dispatcher":
            /// Installs a handler, or puts it in the place of another.
            Install => install(wanted: &Installation) -> u64;
            /// Makes an event of the caller's own, and its handler.
            Export => export(wanted: &Installation, name: Text<'_>, signature: Text<'_>, event: &Exportation);
            /// Removes a binding from an event.
            Remove => remove(event: usize, binding: u64);
            /// Removes a binding from an event, and waits until nobody runs it any more.
            RemoveDrained => remove_drained(event: usize, binding: u64);
            /// Raises an event.
            Raise => raise(event: usize, args: usize, result: usize);
            /// Raises an event, and does not wait for what comes of it.
            Post => post(event: usize, args: usize);
        }
    }
    pub use raw::{Export, Install, Post, Raise, Remove, RemoveDrained};
    pub(crate) use raw::{export, install, post, raise, remove, remove_drained};
}

/// Thread packages; [`package`](mod@crate::package) is the safe side.
pub mod package {
    mod raw {
        use crate::package::Registration;

        crate::interface::interface! { "Package":
            /// Registers a thread package, and gives its number.
            Register => register(name: crate::plain::Text<'_>, wanted: &Registration) -> u32;
            /// Resumes an idle virtual processor.
            Wake => wake(package: u32) -> bool;
            /// Takes a core back from the strand that the package runs there.
            Recall => recall(package: u32, core: u32);
            /// The running strand, if the package runs it.
            Current => current(package: u32) -> u64;
            /// For how long a strand of the package's has had cores.
            Used => used(package: u32, strand: u64) -> u64;
            /// Keeps the running strand and runs another.
            HandOff => hand_off(package: u32, next: u64);
            /// The package keeps a strand of which it was told.
            Keep => keep(package: u32, strand: u64);
            /// Gives the package up.
            Resign => resign(package: u32);
        }
    }
    pub use raw::{Current, HandOff, Keep, Recall, Register, Resign, Used, Wake};
    pub(crate) use raw::{current, hand_off, keep, recall, register, resign, used, wake};
}

/// The console's text; [`println!`](crate::println) formats for it.
pub mod text {
    mod raw {
        crate::interface::interface! { "Console":
            /// Writes a line of text.
            Write => write(text: crate::plain::Text<'_>);
        }
    }
    pub use raw::Write;
    pub(crate) use raw::write;
}

/// The domain's heap and its end: what the glue needs, and nobody else may call.
pub mod domain {
    mod raw {
        crate::interface::interface! { "Domain":
            /// Memory of the domain's own heap.
            Allocate => allocate(size: usize, align: usize) -> usize;
            /// Gives memory back.
            Free => free(start: usize, size: usize, align: usize);
            /// The domain failed; does not return.
            Panic => panic(message: crate::plain::Text<'_>);
        }
    }
    pub use raw::{Allocate, Free, Panic};
    pub(crate) use raw::{allocate, free, panic};
}
