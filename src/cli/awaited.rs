//! What a tunnel that is being set up waits for, in words.

use super::output::time;
use crate::api::Awaited;

/// As the end of a sentence.
pub(super) fn awaited(awaited: &Awaited) -> String {
    match awaited {
        Awaited::Addresses { host } => format!("the name server is asked for the addresses of {host}"),
        Awaited::Answer { exchange, remote, sent, for_s } => {
            let often = match sent {
                0 | 1 => "once".to_owned(),
                times => format!("{times} times"),
            };
            format!("{exchange} was sent to {remote} {often}, no answer for {}", time(*for_s))
        }
        Awaited::Revocation => "it is asked whether the peer's certificates were revoked".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_told_with_its_way_and_its_age() {
        let told = |sent, for_s| {
            let remote = ([203, 0, 113, 1], 500).into();
            awaited(&Awaited::Answer { exchange: "IKE_SA_INIT".to_owned(), remote, sent, for_s })
        };
        assert_eq!(told(3, 7), "IKE_SA_INIT was sent to 203.0.113.1:500 3 times, no answer for 7s");
        assert_eq!(told(1, 0), "IKE_SA_INIT was sent to 203.0.113.1:500 once, no answer for 0s");
    }
}
