//! The events that the spindle `server` exports: what it and those who use it both depend on.
#![no_std]
#![forbid(unsafe_code)]

/// The first term of [`Add`] that the server cannot bear.
pub const UNLUCKY: u64 = 13;

spindle::plain! {
    /// The widest that there can be.
    pub struct Page {
        /// Whatever they hold.
        pub words: [u64; 32],
    }
}

spindle::events! { "Server":
    /// Adds two numbers.
    pub event Add {
        /// One.
        pub a: u64,
        /// The other.
        pub b: u64,
    } -> u64;

    /// Adds a number to each word: arguments and result have all the bytes that there may be.
    pub event AddToAll {
        /// The words.
        pub words: [u64; 31],
        /// What is added.
        pub number: u64,
    } -> Page;

    /// Is the number odd? Both are less than a word.
    pub event IsOdd {
        /// The number.
        pub number: u8,
    } -> bool;

    /// The server raises `Demo.Hello` with this number, and hands on the answer, or what [`code`] makes of the
    /// error.
    pub event AskAll {
        /// The number.
        pub number: u64,
    } -> u64;

    /// Answers with the number. Others may install handlers.
    pub event Open {
        /// The number.
        pub number: u64,
    } -> u64;
}

/// An error where an answer is expected.
pub const fn code(error: spindle::Error) -> u64 {
    1_000_000 + error as u64
}
