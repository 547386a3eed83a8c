//! The web client's opcodes and close codes are those of the model: the file that it builds with is generated here.
//!
//! `ROOKERY_WRITE_GENERATED=1 cargo test -p rookery-model --test web_codes` writes it anew.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail where the test would")]

use std::fmt::Write as _;
use std::path::PathBuf;

use rookery_model::gateway::{CloseCode, Opcode};

fn generated() -> String {
    let mut text = String::from("// Generated from model/src/gateway by model/tests/web_codes.rs. Do not edit.\n");
    text += "\nexport const Opcode = {\n";
    for opcode in (0..=255).filter_map(Opcode::from_u64) {
        writeln!(text, "  {opcode:?}: {},", opcode as u8).unwrap();
    }
    text += "} as const;\nexport type Opcode = (typeof Opcode)[keyof typeof Opcode];\n";
    text += "\nexport const CloseCode = {\n";
    for code in CloseCode::ALL {
        writeln!(text, "  {code:?}: {},", code.code()).unwrap();
    }
    text += "} as const;\nexport type CloseCode = (typeof CloseCode)[keyof typeof CloseCode];\n";
    text += "\n/** After these a client does not come back as it is. */\n";
    text += "export const CLOSE_CODES_WITHOUT_RECONNECT: ReadonlySet<number> = new Set([\n";
    for code in CloseCode::ALL.into_iter().filter(|code| !code.can_reconnect()) {
        writeln!(text, "  CloseCode.{code:?},").unwrap();
    }
    text += "]);\n";
    text
}

#[test]
fn the_generated_file_is_current() {
    // Looked up when the test runs: with a build folder that clones share, a path compiled in may be another clone's.
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let path = root.join("../web/transport/src/codes.ts");
    if std::env::var_os("ROOKERY_WRITE_GENERATED").is_some() {
        std::fs::write(&path, generated()).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert_eq!(kept, generated(), "run this test with ROOKERY_WRITE_GENERATED=1");
}

#[test]
fn all_close_codes_are_listed() {
    let numbers: Vec<u16> = CloseCode::ALL.iter().map(|code| code.code()).collect();
    assert!(numbers.is_sorted());
    // 4006 is not given out any more.
    assert_eq!(numbers, (4000..=4014).filter(|n| *n != 4006).collect::<Vec<_>>());
}
