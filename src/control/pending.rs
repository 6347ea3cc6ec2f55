//! Settings that changed and are a matter of each SA's making: which of them standing Child SAs still go without.

use std::collections::BTreeMap;

use sekisho_ike::Instant;

/// When each changed last.
#[derive(Debug, Default)]
pub(super) struct Pending(BTreeMap<String, Instant>);

impl Pending {
    /// These have changed.
    pub(super) fn changed(&mut self, now: Instant, settings: &[String]) {
        self.0.extend(settings.iter().map(|setting| (setting.clone(), now)));
    }

    /// Those that are newer than a Child SA which stands. `oldest`: when the oldest was set up.
    pub(super) fn of(&self, oldest: Option<Instant>) -> Vec<String> {
        let newer = |at: &Instant| oldest.is_some_and(|oldest| oldest < *at);
        self.0.iter().filter(|(_, at)| newer(at)).map(|(setting, _)| setting.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_setting_waits_until_the_last_older_sa_is_gone() {
        let at = |seconds| Instant::from_boot(Duration::from_secs(seconds));
        let mut pending = Pending::default();
        pending.changed(at(10), &["ecn".to_owned()]);
        pending.changed(at(20), &["dscp".to_owned()]);
        assert_eq!(pending.of(Some(at(5))), ["dscp", "ecn"]);
        assert_eq!(pending.of(Some(at(15))), ["dscp"]);
        assert_eq!(pending.of(Some(at(20))), [""; 0]);
        assert_eq!(pending.of(None), [""; 0], "nothing stands");
        pending.changed(at(30), &["ecn".to_owned()]);
        assert_eq!(pending.of(Some(at(20))), ["ecn"], "it changed again");
    }
}
