//! What to answer when a request of the peer meets what we are doing ourselves: the tables of RFC 7296 §2.25.1
//! and §2.25.2, and nothing else.

/// What we are doing with the IKE SA that the request came on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IkeActivity {
    /// Nothing that matters.
    Idle,
    /// Creating, rekeying or closing a Child SA of it.
    BusyWithChild,
    /// Rekeying it.
    Rekeying,
    /// It was replaced: its end is near.
    Replaced,
    /// Closing it.
    Deleting,
}

impl IkeActivity {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 5] =
        [Self::Idle, Self::BusyWithChild, Self::Rekeying, Self::Replaced, Self::Deleting];
}

/// What we are doing with the Child SA that the request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChildActivity {
    /// We have no such Child SA.
    Unknown,
    /// We have none, but a request of ours for one is on its way: it may be the one that the answer will make.
    Awaited,
    /// Nothing.
    Idle,
    /// Rekeying it.
    Rekeying,
    /// It was replaced: its end is near.
    Replaced,
    /// Closing it.
    Deleting,
}

impl ChildActivity {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 6] =
        [Self::Unknown, Self::Awaited, Self::Idle, Self::Rekeying, Self::Replaced, Self::Deleting];
}

/// How to answer a `CREATE_CHILD_SA` request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As usual.
    Proceed,
    /// As usual, "and SHOULD prepare to close redundant SAs later based on the nonces".
    Collide,
    /// `TEMPORARY_FAILURE`: the peer tries again later.
    TemporaryFailure,
    /// `CHILD_SA_NOT_FOUND`.
    ChildSaNotFound,
}

/// "If a peer receives a request to create or rekey a Child SA when it is currently rekeying the IKE SA, it SHOULD
/// reply with `TEMPORARY_FAILURE`."
pub(crate) fn new_child(ike: IkeActivity) -> Verdict {
    match ike {
        IkeActivity::Idle | IkeActivity::BusyWithChild => Verdict::Proceed,
        IkeActivity::Rekeying | IkeActivity::Replaced | IkeActivity::Deleting => Verdict::TemporaryFailure,
    }
}

/// §2.25.1, for the rekey of a Child SA.
pub(crate) fn rekey_child(ike: IkeActivity, child: ChildActivity) -> Verdict {
    match (new_child(ike), child) {
        (Verdict::Proceed, ChildActivity::Idle) => Verdict::Proceed,
        // "a request to rekey a Child SA that it is currently rekeying, it SHOULD reply as usual"
        (Verdict::Proceed, ChildActivity::Rekeying) => Verdict::Collide,
        // "a request to rekey a Child SA that it is currently trying to close, it SHOULD reply with
        // TEMPORARY_FAILURE"
        (Verdict::Proceed, ChildActivity::Replaced | ChildActivity::Deleting | ChildActivity::Awaited) => {
            Verdict::TemporaryFailure
        }
        // "a request to rekey a Child SA that does not exist, it SHOULD reply with CHILD_SA_NOT_FOUND"
        (Verdict::Proceed, ChildActivity::Unknown) => Verdict::ChildSaNotFound,
        (other, _) => other,
    }
}

/// §2.25.1 and §2.25.2, for the rekey of the IKE SA.
pub(crate) fn rekey_ike(ike: IkeActivity) -> Verdict {
    match ike {
        IkeActivity::Idle => Verdict::Proceed,
        // "a request to rekey an IKE SA that it is currently rekeying, it SHOULD reply as usual"
        IkeActivity::Rekeying => Verdict::Collide,
        // "a request to rekey the IKE SA, and it is currently creating, rekeying, or closing a Child SA of that IKE
        // SA, it SHOULD reply with TEMPORARY_FAILURE"
        IkeActivity::BusyWithChild | IkeActivity::Replaced | IkeActivity::Deleting => {
            Verdict::TemporaryFailure
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn every_crossing_has_its_answer() {
        let mut table = String::new();
        for ike in IkeActivity::ALL {
            writeln!(
                table,
                "IKE SA {ike:?}: new child {:?}, rekey IKE SA {:?}",
                new_child(ike),
                rekey_ike(ike)
            )
            .ok();
            for child in ChildActivity::ALL {
                writeln!(table, "  child {child:?}: rekey child {:?}", rekey_child(ike, child)).ok();
            }
        }
        insta::assert_snapshot!(table);
    }
}
