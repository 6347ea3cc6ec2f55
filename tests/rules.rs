//! The rules bought with others' CVEs: each is cited by a test that shows it, as `Rule N: …` in the comment above its
//! `#[test]`; and the two that the compiler enforces hold in the sources.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

mod sources;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sources::sources_under;

/// What each demands, in a few words.
const RULES: [&str; 18] = [
    "no exchange changes an SA that is not authenticated",
    "no number from the wire means what we use only inside",
    "a peer's constraints come before anything of ours that depends on them",
    "no shortcut to an established SA",
    "PKCS#1 v1.5 by re-encoding and comparing",
    "nothing is fetched before its path is trusted",
    "key-exchange values are checked for length and group",
    "fragments are bounded, and authenticated before they are stored",
    "a failed path leaves nothing behind",
    "nothing of the peer's is echoed unchecked",
    "what lies inside ESP is checked after authentication too",
    "nonce counters have 64 bits and a limit",
    "inner source addresses are those of the SA that carried them",
    "limits by address and prefix; cookies over address, port, SPI and nonce",
    "time that jumps neither panics nor expires everything",
    "identities are those configured; reflections are refused",
    "coalesced datagrams are input like any other",
    "slow work never blocks another SA's liveness",
];

/// Where tests are.
const SOURCES: [&str; 7] =
    ["ike/src", "ike/tests", "esp/src", "esp/tests", "src", "tests", "fuzz/fuzz_targets"];

#[test]
fn every_rule_is_cited_by_a_test() {
    let mut cited: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for file in SOURCES.iter().flat_map(|directory| sources_under(Path::new(directory))) {
        let text = fs::read_to_string(&file).expect("a source file");
        for (rule, test) in citations(&text) {
            assert!((1..=RULES.len()).contains(&rule), "{}: there is no rule {rule}", file.display());
            cited.entry(rule).or_default().push(format!("{}: {test}", file.display()));
        }
    }
    for (number, rule) in (1..).zip(RULES) {
        let tests = cited.get(&number);
        println!("{number}. {rule}\n    {}", tests.map_or_else(String::new, |tests| tests.join("\n    ")));
    }
    let without: Vec<usize> = (1..=RULES.len()).filter(|rule| !cited.contains_key(rule)).collect();
    assert!(without.is_empty(), "no test cites these rules: {without:?}");
}

#[test]
fn a_citation_counts_above_a_test_only() {
    let test = "/// Rule 3: it is so.\n/// More.\n#[test]\nfn shows_it() {\n";
    assert_eq!(citations(test), [(3, "shows_it".to_owned())]);
    let asynchronous = "    // Rule 12: likewise,\n    // Rule 13 for another: and so on.\n    #[tokio::test(start_paused = true)]\n    async fn later() {\n";
    assert_eq!(citations(asynchronous), [(12, "later".to_owned()), (13, "later".to_owned())]);
    for none in [
        "/// Rule 3: of a function.\nfn no_test() {\n",
        "// Rule 3: too far away.\n\n#[test]\nfn apart() {\n",
        "/// As rule 3 says: it is so.\n#[test]\nfn in_passing() {\n",
        "/// Rule 3: switched off.\n#[test]\n#[ignore = \"slow\"]\nfn ignored() {\n",
        "const TEXT: &str = \"/// Rule 3: quoted\";\n#[test]\nfn quoted() {\n",
    ] {
        assert_eq!(citations(none), [], "{none}");
    }
}

/// Rules 1 and 4 where the compiler enforces them: an established tunnel is made of a `VerifiedPeer` alone, which is made in
/// one place; whatever a message changes, it changes through a `Protected`, which is made by opening alone.
///
/// Rule 1: what is not authenticated has no exchange to be changed by.
/// Rule 4: AUTH is checked in one place, and the established state is built from its result.
#[test]
fn what_is_established_or_opened_is_made_in_one_place() {
    let files: Vec<(String, String)> = sources_under(Path::new("ike/src"))
        .into_iter()
        .map(|file| (file.display().to_string(), code(&fs::read_to_string(&file).expect("a source file"))))
        .collect();
    let text = |path: &str| &files.iter().find(|(name, _)| name == path).expect("the file").1;

    // Made by a literal with its fields.
    let makes = |(name, text): &(String, String), what: &str| {
        let declares = ["struct ", "impl ", "for ", "-> ", "&"];
        let literal = format!("{what} {{");
        let pieces: Vec<&str> = text.split(literal.as_str()).collect();
        let before = pieces.iter().rev().skip(1);
        let made = before.filter(|before| !declares.iter().any(|word| before.ends_with(word)));
        made.map(|_| name.clone()).collect::<Vec<_>>()
    };
    let made = |what| files.iter().flat_map(|file| makes(file, what)).collect::<Vec<_>>();
    assert_eq!(made("VerifiedPeer"), ["ike/src/identity/examination.rs"]);
    assert_eq!(made("Renewal"), ["ike/src/identity/review.rs"]);
    for (path, declaration) in [
        ("ike/src/identity/examination.rs", "pub(crate) struct VerifiedPeer {"),
        ("ike/src/identity/review.rs", "pub(crate) struct Renewal {"),
        ("ike/src/exchange/protected.rs", "pub struct Protected<T>(T);"),
    ] {
        let (before, _) = text(path).split_once(declaration).expect(declaration);
        let attributes = before.rsplit("\n\n").next().expect("what stands above it");
        assert!(!attributes.contains("Clone") && !attributes.contains("Default"), "{path}: {attributes}");
    }
    let fields = text("ike/src/identity/examination.rs").split_once("struct VerifiedPeer {").expect("it").1;
    assert!(!fields.split_once('}').expect("its end").0.contains("pub"), "its fields are its own");

    // Its field is private to the file that opens.
    assert!(text("ike/src/exchange/protected.rs").contains("pub struct Protected<T>(T);"));
    assert_eq!(
        text("ike/src/exchange/protected.rs").matches(".map(Self)").count(),
        2,
        "by opening, or joining"
    );

    // Tunnels: by both roles, each with its verified peer.
    let tunnel = text("ike/src/sa/tunnel.rs");
    assert!(
        tunnel.contains("pub(crate) fn new(\n        ctx: &mut Context<'_>,\n        peer: VerifiedPeer,")
    );
    let new = files.iter().filter(|(_, text)| text.contains("Tunnel::new("));
    let new: Vec<&str> = new.map(|(name, _)| name.as_str()).collect();
    assert_eq!(new, ["ike/src/sa/initiator/auth.rs", "ike/src/sa/responder/auth.rs"]);
    assert_eq!(made("Tunnel"), [""; 0], "by no other literal than that of its own `new`");
    assert_eq!(tunnel.matches("let tunnel = Self {").count(), 1);
}

/// Rules that the comment right above a test cites, and its name.
fn citations(text: &str) -> Vec<(usize, String)> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut citations = Vec::new();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| is_test(line)) {
        let above =
            lines[..at].iter().rev().take_while(|line| line.starts_with("//") || line.starts_with("#["));
        let mut rules: Vec<usize> = above.filter_map(|line| rule(line)).collect();
        rules.reverse();
        let below: Vec<&&str> = lines[at + 1..].iter().take_while(|line| !is_function(line)).collect();
        let ignored = line.contains("ignore") || below.iter().any(|line| line.contains("ignore"));
        let name = lines[at + 1..].iter().find(|line| is_function(line)).map(|line| name(line));
        citations
            .extend(rules.into_iter().filter(|_| !ignored).zip(std::iter::repeat(name.unwrap_or_default())));
    }
    citations
}

fn is_test(line: &str) -> bool {
    line.starts_with("#[test]") || line.starts_with("#[tokio::test")
}

fn is_function(line: &str) -> bool {
    line.starts_with("fn ") || line.starts_with("async fn ")
}

fn name(line: &str) -> String {
    let behind = line.split("fn ").nth(1).unwrap_or_default();
    behind.split(['(', '<']).next().unwrap_or_default().to_owned()
}

/// `Rule 7: …` or `Rule 7 for …: …`, at the beginning of a line of a comment.
fn rule(line: &str) -> Option<usize> {
    let rest = line.trim_start_matches('/').trim_start().strip_prefix("Rule ")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit())?;
    let (number, behind) = rest.split_at(digits);
    (behind.starts_with(':') || (behind.starts_with(' ') && behind.contains(':')))
        .then(|| number.parse().ok())
        .flatten()
}

/// Without comments and tests.
fn code(text: &str) -> String {
    let body = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = body.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}
