//! What every diagnosis keeps to, whatever a peer says.

use super::*;

#[test]
fn codes_are_unique_words_and_meanings_are_sentences() {
    let mut codes: Vec<_> = DiagnosisKind::ALL.iter().map(|kind| kind.code()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), DiagnosisKind::ALL.len());
    for kind in DiagnosisKind::ALL {
        assert!(kind.code().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{}", kind.code());
        let meaning = kind.meaning();
        assert!(meaning.ends_with('.') && !meaning.contains("  ") && !meaning.starts_with(' '), "{meaning}");
    }
}

#[test]
fn hostile_text_is_cut_and_cannot_steer_a_terminal() {
    let hostile = format!("\u{1b}[31mred\r\n\u{202e}{}", "x".repeat(5_000));
    let row = Row::both("cipher", vec!["aes256gcm16".into()], vec![hostile.clone(); 500]);
    let rows = vec![row.remark(hostile.clone()); 100];
    let diagnosis = Diagnosis::new(DiagnosisKind::PeerError, Side::Peer, &hostile, "Look there")
        .about(hostile.clone(), hostile.clone())
        .during(ExchangeType::IKE_AUTH)
        .compared(rows);
    assert_eq!(diagnosis.comparison.len(), limits::COMPARISON_ROWS);
    for row in &diagnosis.comparison {
        let theirs = row.theirs.as_ref().map(Vec::len);
        assert_eq!(theirs, Some(limits::COMPARISON_WORDS + 1));
        assert_eq!(row.theirs.iter().flatten().last().map(String::as_str), Some("… (488 more)"));
    }
    let text = format!("{diagnosis} {diagnosis:?}");
    assert!(!text.contains(['\u{1b}', '\r', '\n', '\u{202e}']));
    assert!(text.chars().count() < 400_000, "{}", text.chars().count());
    let most = limits::DIAGNOSIS_TEXT + 1;
    assert!([&diagnosis.summary].into_iter().chain(&diagnosis.offered).all(|t| t.chars().count() <= most));
}
