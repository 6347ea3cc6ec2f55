//! No daemon answers: what would keep it from starting.

use std::path::Path;

use super::super::check::obstacles;
use super::{Explanation, wrapped};

/// Nobody answers: what would keep the daemon from starting.
pub(super) fn without_daemon(name: &str, config: &Path, why: &str) -> Explanation {
    let mut text = format!("{}\n", wrapped(&format!("Tunnel {name} is down: {why}.")));
    let obstacles = obstacles(config);
    if obstacles.is_empty() {
        let file = config.display();
        text += &wrapped(&format!(
            "Nothing speaks against a start of sekishod with {file}: `systemctl start sekishod`, and `journalctl -u sekishod` for what it says. Another file is looked at with `--config FILE`, and another daemon asked with `--socket PATH`."
        ));
    } else {
        let file = config.display();
        text =
            format!("{text}What would keep it from starting with {file} (`--config FILE` names another):\n");
        let obstacles: Vec<String> = obstacles.iter().map(|obstacle| format!("- {obstacle}\n")).collect();
        text += &obstacles.concat();
    }
    Explanation {
        name: name.to_owned(),
        state: "no_daemon".to_owned(),
        kind: None,
        refused_by: None,
        text,
        failure: None,
        near_misses: Vec::new(),
        refused: Vec::new(),
        warnings: Vec::new(),
        attempts: 0,
        next_try_in_s: None,
    }
}
