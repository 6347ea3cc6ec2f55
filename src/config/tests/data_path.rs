//! What of the data path can be set to something else than its default.

use sekisho_ike::config::DontFragment;

use super::*;

fn daemon(lines: &str) -> Daemon {
    let config = judged(&format!("[daemon]\n{lines}\n{TUNNEL}")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.warnings, [], "{lines}");
    config.daemon
}

#[test]
fn what_outer_packets_carry_of_inner_marks_is_as_it_is_set() {
    let default = Daemon::default();
    assert_eq!((default.copy_dscp, default.dscp, default.ecn), (true, 0, true));
    for (lines, expected) in [
        ("copy_dscp = false", (false, 0, true)),
        ("dscp = 46", (false, 46, true)),
        ("copy_dscp = false\ndscp = 63", (false, 63, true)),
        ("copy_dscp = true", (true, 0, true)),
        ("ecn = false", (true, 0, false)),
        ("ecn = false\ndscp = 8", (false, 8, false)),
    ] {
        let daemon = daemon(lines);
        assert_eq!((daemon.copy_dscp, daemon.dscp, daemon.ecn), expected, "{lines}");
    }
}

#[test]
fn segments_are_clamped_and_packets_exchanged_many_at_a_time_unless_that_is_switched_off() {
    for (lines, expected) in [
        ("", (true, true)),
        ("clamp_mss = false", (false, true)),
        ("offloads = \"off\"", (true, false)),
        ("clamp_mss = true\noffloads = \"auto\"", (true, true)),
    ] {
        let daemon = daemon(lines);
        assert_eq!((daemon.clamp_mss, daemon.offloads), expected, "{lines}");
    }
}

#[test]
fn whether_packets_may_be_fragmented_outside_is_as_it_is_set() {
    for (line, expected) in [
        ("", DontFragment::Auto),
        ("dont_fragment = \"auto\"\n", DontFragment::Auto),
        ("dont_fragment = \"always\"\n", DontFragment::Always),
        ("dont_fragment = \"never\"\n", DontFragment::Never),
    ] {
        let config = judged(&format!("{TUNNEL}{line}")).unwrap_or_else(|error| panic!("{error}"));
        let [tunnel] = config.connections.as_slice() else { panic!("one tunnel") };
        assert_eq!(tunnel.dont_fragment, expected, "{line}");
    }
}
