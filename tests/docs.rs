//! What the documents say that the code knows too.
#![allow(clippy::expect_used)]

use std::fs;

use sekisho_ike::diagnosis::DiagnosisKind;

/// Each kind has its line, in the order of a negotiation, and there is no other.
#[test]
fn every_kind_of_diagnosis_is_documented() {
    let text = fs::read_to_string("docs/diagnoses.md").expect("the list of diagnoses");
    let table = text.lines().skip_while(|line| *line != "| kind | what it means |").skip(2);
    let lines: Vec<_> = table.take_while(|line| line.starts_with('|')).collect();
    let kinds = DiagnosisKind::ALL.iter().map(|kind| format!("| `{}` | {} |", kind.code(), kind.meaning()));
    assert_eq!(lines, kinds.collect::<Vec<_>>());
}
