//! Tells the linker to put next to each other what runs while the router works: see `at_work.ld`.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=at_work.ld");
    println!("cargo::rerun-if-changed=build.rs");
    let folder = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    if is_wanted() {
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{folder}/at_work.ld");
    }
}

/// Whether the slim program is built for use, with the linker that Rust comes with there: others may not know such scripts.
fn is_wanted() -> bool {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|is| is == value);
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let has_usual_linker = env::var_os("RUSTC_LINKER").is_none() && !flags.contains("link");
    is("PROFILE", "release")
        && is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && is("CARGO_CFG_TARGET_ARCH", "x86_64")
        && env::var_os("CARGO_FEATURE_QUERY").is_none()
        && has_usual_linker
}
