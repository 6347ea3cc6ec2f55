//! The transform that protects nothing is for the throughput bench alone: the product has it not, and cannot choose it.
#![allow(clippy::expect_used, clippy::indexing_slicing)]

mod sources;

use std::fs;
use std::path::Path;
use std::process::Command;

use sekisho_esp::{Keymat, OutboundSa, SaConfig, Selector, Suite, null_transform};
use sources::sources_under;

/// The features of `sekisho-esp` in a build of the binaries, or of tests and benches too.
fn features_of_esp(edges: &str) -> String {
    let mut command = Command::new(env!("CARGO"));
    command.args(["tree", "--offline", "--package", "sekisho", "--edges", edges]);
    command.args(["--depth", "1", "--prefix", "none", "--format", "{p} {f}"]);
    let output = command.output().expect("start cargo");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let line = said.lines().find(|line| line.starts_with("sekisho-esp "));
    line.unwrap_or_else(|| panic!("sekisho depends on sekisho-esp: {said}")).to_owned()
}

#[test]
fn a_build_of_the_product_does_not_contain_it() {
    assert!(features_of_esp("normal,build,dev").contains("null-transform"), "benches have it");
    assert!(!features_of_esp("normal,build").contains("null-transform"), "the product has not");
}

#[test]
fn nothing_of_the_product_chooses_it_where_it_is_compiled_in() {
    let sources = ["src", "ike/src"].into_iter().flat_map(|crate_| sources_under(Path::new(crate_)));
    for file in sources {
        let text = fs::read_to_string(&file).expect("a source file");
        assert!(!text.contains("null_transform"), "{} names the null transform", file.display());
    }
}

#[test]
fn it_is_chosen_by_a_call_and_then_only_lays_out() {
    let inner = [&[0x45][..], &[7; 99]].concat();
    let before = sa();
    null_transform::protect_nothing();
    let after = sa();
    let [encrypted, open] = [before, after].map(|sa| {
        let mut buffer = [&[0; 16][..], &inner, &[0; 64]].concat();
        let sealed = sa.sealer(0).seal(&mut buffer, 16..16 + inner.len()).expect("sealed");
        buffer[sealed].to_vec()
    });
    assert_eq!(encrypted.len(), open.len());
    assert_eq!(encrypted[..8], open[..8], "SPI and sequence number");
    assert_ne!(encrypted[16..116], inner, "an SA that was made before encrypts");
    assert_eq!(open[16..116], inner);
}

fn sa() -> OutboundSa {
    let any = || vec![Selector::new([0; 4].into(), [255; 4].into(), 0, (0, u16::MAX)).expect("a selector")];
    let suite = Suite::AES_256_GCM_16;
    let config = SaConfig {
        spi: 300,
        suite,
        keymat: Keymat::new(vec![9; suite.keymat_length()]),
        esn: true,
        local: any(),
        remote: any(),
        marking: sekisho_esp::ecn::Marking::default(),
        replay_window: 64,
        packet_limit: None,
    };
    OutboundSa::new(config).expect("an SA")
}
