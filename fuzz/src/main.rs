//! One binary for all targets: the variable `FUZZ_TARGET` names the one that is run.

#![no_main]

mod targets;

use std::sync::OnceLock;

use targets::{TARGETS, Target};

fn chosen() -> Target {
    static CHOSEN: OnceLock<Target> = OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let wanted = std::env::var("FUZZ_TARGET").unwrap_or_default();
        let found = TARGETS.iter().find(|(name, _)| *name == wanted);
        found.unwrap_or_else(|| panic!("FUZZ_TARGET is one of {:?}", TARGETS.map(|(name, _)| name))).1
    })
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| chosen()(data));
