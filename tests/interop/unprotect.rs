//! `sekisho unprotect`: what left the configuration is freed, beside a running daemon and without it, and nothing else.

use serde_json::json;

use crate::lab::{End, Outer, Sekisho, Site, Tunnel};

const STALE: &str = "10.99.0.0/16";

#[test]
fn what_left_the_configuration_is_freed_and_nothing_else() {
    let site = Site::new("unprotect");
    let after = Tunnel::at(&site, End::A, Outer::V4);
    let mut before = after.clone();
    before.remote_networks.push(STALE.to_owned());
    let kept = after.remote_networks[0].clone();
    let namespace = &site.a.namespace;
    let is_blocked = |network: &str| namespace.ip("route show table all proto 94").contains(network);

    let mut sekisho = Sekisho::start(&site.a, &before);
    let leave = |sekisho: &Sekisho<'_>| {
        sekisho.rewrite(&before);
        sekisho.json(&["reload"]);
        sekisho.rewrite(&after);
        assert_eq!(sekisho.json(&["reload"])["stale"], json!([STALE]));
        assert!(is_blocked(&format!("blackhole {STALE}")));
    };
    leave(&sekisho);
    for (asked, why) in [(kept.as_str(), "of tunnel `centre`"), ("0.0.0.0/0", "of tunnel `centre`")] {
        let refused = sekisho.try_command(&["unprotect", STALE, asked]);
        assert_eq!(refused.status.code(), Some(1), "{asked}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains(why), "{refused:?}");
        assert!(is_blocked(STALE), "all or nothing");
    }
    assert_eq!(sekisho.json(&["unprotect", STALE]), json!({"prefixes": [STALE]}));
    assert!(!is_blocked(STALE) && is_blocked(&kept));
    assert_eq!(sekisho.json(&["status"])["stale"], json!([]));
    let events = sekisho.try_command(&["events", "--json"]).stdout;
    assert!(
        String::from_utf8_lossy(&events).contains(r#""event":"networks_freed","networks":["10.99.0.0/16"]"#)
    );

    leave(&sekisho);
    let mut ours = after.clone();
    ours.local_networks.push(STALE.to_owned());
    sekisho.rewrite(&ours);
    assert_eq!(sekisho.json(&["reload"])["blocked_local"], json!({"centre": [STALE]}));
    assert_eq!(sekisho.json(&["status"])["tunnels"][0]["blocked_local"], json!([STALE]));
    let explained = sekisho.json(&["explain", "centre"])["text"].to_string();
    assert!(explained.contains("sekisho unprotect 10.99.0.0/16") && is_blocked(STALE), "{explained}");
    assert_eq!(sekisho.json(&["unprotect", "--stale"]), json!({"prefixes": [STALE]}));
    assert!(!is_blocked(STALE) && is_blocked(&kept));

    leave(&sekisho);
    sekisho.stop();
    let file = sekisho.configuration();
    let by_file = ["--config", file.to_str().expect("a path")];
    let nobody_knows = sekisho.try_command(&["unprotect", "--stale", "--config", "/no/such/file.toml"]);
    assert_eq!(nobody_knows.status.code(), Some(1));
    let refused = sekisho.try_command(&[["unprotect", &kept].as_slice(), &by_file].concat());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("of tunnel `centre`"), "{refused:?}");
    assert!(is_blocked(STALE) && is_blocked(&kept));
    let freed = sekisho.json(&[["unprotect", "--stale"], by_file].concat());
    assert_eq!(freed, json!({"prefixes": [STALE]}));
    assert!(!is_blocked(STALE) && is_blocked(&kept));
}
