//! `#[ktest]`: registers a function as a test that runs inside the booted kernel.
//!
//! ```ignore
//! #[ktest]
//! fn frames_come_back() { /* a panic fails this test, and no other */ }
//! ```
//!
//! The attribute leaves a record in the section `ktests`, which the kernel's harness walks.
#![forbid(unsafe_code)]

use proc_macro::{TokenStream, TokenTree};

/// Registers a function without arguments or result as a test of the booted kernel.
#[proc_macro_attribute]
pub fn ktest(arguments: TokenStream, function: TokenStream) -> TokenStream {
    let mut tokens = function.clone().into_iter();
    let name = tokens
        .find(|token| matches!(token, TokenTree::Ident(word) if word.to_string() == "fn"))
        .and_then(|_| tokens.next());
    let record = match name {
        Some(TokenTree::Ident(name)) if arguments.is_empty() => format!(
            "const _: () = {{
                #[used]
                #[unsafe(link_section = \"ktests\")]
                static TEST: crate::ktest::Test = crate::ktest::Test {{
                    name: concat!(module_path!(), \"::\", stringify!({name})),
                    run: {name},
                }};
            }};"
        ),
        _ => "compile_error!(\"#[ktest] takes no arguments and stands before a function\");".into(),
    };
    let record: TokenStream = record.parse().expect("the record is Rust");
    function.into_iter().chain(record).collect()
}
