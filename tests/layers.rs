//! Imports run downward only (ARCHITECTURE.md, "Layers"): read from the sources themselves.
#![allow(clippy::expect_used)]

mod sources;

use std::fs;
use std::path::{Path, PathBuf};

use sources::sources_under;

/// A crate's modules and what each may import of its own crate, beside itself.
struct Layers {
    sources: &'static str,
    /// Modules that all may import.
    plain: &'static [&'static str],
    rules: &'static [(&'static str, &'static [&'static str])],
}

const IKE: Layers = Layers {
    sources: "ike/src",
    plain: &["config", "diagnosis", "event", "limits", "path", "random", "secret", "suite", "time", "work"],
    rules: &[
        ("wire", &[]),
        ("crypto", &["wire"]),
        ("keys", &["crypto", "wire"]),
        ("negotiate", &["crypto", "wire"]),
        ("pki", &["crypto", "wire"]),
        ("identity", &["pki", "crypto", "wire"]),
        ("exchange", &["keys", "crypto", "wire"]),
        ("diagnose", &["identity", "pki", "negotiate", "wire"]),
        ("sa", &["diagnose", "exchange", "identity", "pki", "negotiate", "keys", "crypto", "wire"]),
        ("endpoint", &["sa", "diagnose", "exchange", "identity", "pki", "negotiate", "crypto", "wire"]),
        ("sim", &["endpoint", "exchange", "identity", "pki", "negotiate", "keys", "crypto", "wire"]),
        ("fuzzing", &["sim", "exchange", "identity", "pki", "keys", "crypto", "wire"]),
        ("config", &["identity", "pki", "negotiate"]),
        ("event", &["identity", "pki", "negotiate", "wire"]),
        ("work", &["identity", "pki", "crypto", "wire"]),
    ],
};

const SHELL: Layers = Layers {
    sources: "src",
    plain: &["words"],
    rules: &[
        ("net", &[]),
        ("config", &[]),
        ("telemetry", &[]),
        ("data", &["net"]),
        ("api", &["net", "telemetry"]),
        ("control", &["data", "net", "telemetry", "api", "config"]),
        ("daemon", &["control", "data", "net", "telemetry", "api", "config"]),
        // `cli/unprotect.rs` works where no daemon does.
        ("cli", &["api", "config", "net", "daemon", "demo"]),
        ("demo", &["api", "config", "net", "daemon", "cli"]),
    ],
};

#[test]
fn imports_run_downward() {
    let mut broken = Vec::new();
    for layers in [IKE, SHELL] {
        for (module, allowed) in layers.rules {
            for file in files_of(layers.sources, module) {
                let text = fs::read_to_string(&file).expect("a source file");
                for imported in imports(&text) {
                    let known = layers.rules.iter().any(|(name, _)| *name == imported);
                    let fine = imported == *module || allowed.contains(&imported.as_str());
                    if known && !fine && !layers.plain.contains(&imported.as_str()) {
                        broken.push(format!("{}: `{module}` imports `{imported}`", file.display()));
                    }
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_protocol_crates_do_not_know_each_other_and_one_file_knows_both() {
    let names =
        |text: &str, name: &str| text.lines().any(|l| !l.trim_start().starts_with("//") && l.contains(name));
    let read = |file: &PathBuf| fs::read_to_string(file).expect("a source file");
    for (sources, other) in [("ike", "sekisho_esp"), ("esp", "sekisho_ike")] {
        for file in sources_under(Path::new(sources)) {
            assert!(!names(&read(&file), other), "{} names {other}", file.display());
        }
    }
    let both = sources_under(Path::new("src"));
    let both = both.iter().filter(|f| names(&read(f), "sekisho_ike") && names(&read(f), "sekisho_esp"));
    let both: Vec<String> = both.map(|f| f.display().to_string()).collect();
    assert_eq!(both, ["src/control/install.rs"]);
}

#[test]
fn the_packet_path_and_the_system_leaf_know_no_ike() {
    for (directory, name) in
        [("src/data", "sekisho_ike"), ("src/net", "sekisho_ike"), ("src/net", "sekisho_esp")]
    {
        for file in sources_under(Path::new(directory)) {
            let text = fs::read_to_string(&file).expect("a source file");
            assert!(!text.contains(&format!("use {name}")), "{} imports {name}", file.display());
        }
    }
}

#[test]
fn unsafe_code_is_in_the_system_leaf_alone() {
    for directory in ["src", "ike/src", "esp/src"] {
        for file in sources_under(Path::new(directory)).into_iter().filter(|f| !f.starts_with("src/net")) {
            let text = fs::read_to_string(&file).expect("a source file");
            assert!(!text.contains("unsafe {"), "{} has unsafe code", file.display());
        }
    }
}

fn files_of(sources: &str, module: &str) -> Vec<PathBuf> {
    let file = Path::new(sources).join(format!("{module}.rs"));
    let mut files = sources_under(&Path::new(sources).join(module));
    files.extend(file.exists().then_some(file));
    assert!(!files.is_empty(), "{sources} has no module {module}");
    files
}

/// The modules of its own crate that a source imports, tests included.
fn imports(text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let after = code.flat_map(|line| line.split("crate::").skip(1).map(str::to_owned).collect::<Vec<_>>());
    let name =
        |rest: String| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect::<String>();
    after.map(name).filter(|name| !name.is_empty()).collect()
}
