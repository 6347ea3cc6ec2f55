//! No daemon answers: what would keep it from starting.

use super::super::check::obstacles;
use super::{Args, Explanation, wrapped};

/// Nobody answers: what would keep the daemon from starting.
pub(super) fn without_daemon(args: &Args, why: &str) -> Explanation {
    let mut text = format!("{}\n", wrapped(&format!("Tunnel {} is down: {why}.", args.name)));
    let obstacles = obstacles(&args.config);
    if obstacles.is_empty() {
        let file = args.config.display();
        text += &wrapped(&format!(
            "Nothing speaks against a start of sekishod with {file}: `systemctl start sekishod`, and `journalctl -u sekishod` for what it says."
        ));
    } else {
        text += "What would keep it from starting:\n";
        let obstacles: Vec<String> = obstacles.iter().map(|obstacle| format!("- {obstacle}\n")).collect();
        text += &obstacles.concat();
    }
    Explanation {
        name: args.name.clone(),
        state: "no_daemon".to_owned(),
        kind: None,
        refused_by: None,
        text,
        failure: None,
        near_misses: Vec::new(),
        warnings: Vec::new(),
        attempts: 0,
        next_try_in_s: None,
    }
}
