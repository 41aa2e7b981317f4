//! Links the kernel by its own linker script, without relocations left to do.

use std::env;

fn main() {
    let folder = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=linker.ld");

    // Checked on the host (rust-analyzer, `cargo doc`), the script would not fit.
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    for argument in [
        format!("-T{folder}/linker.ld"),
        "--no-pie".into(),
        "-zmax-page-size=4096".into(),
        "-n".into(),
        "--build-id=none".into(),
        // Nothing unwinds, so nobody reads these tables.
        "--no-eh-frame-hdr".into(),
    ] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
