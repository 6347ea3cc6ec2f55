//! Congestion marks and DSCP across the tunnel (RFC 6040; DSCP: RFC 4301 §5.1.2).

use crate::drop_reason::DropReason;

const ECN: u8 = 0b11;
const NOT_ECT: u8 = 0b00;
const ECT_1: u8 = 0b01;
const ECT_0: u8 = 0b10;
const CE: u8 = 0b11;

/// What the outer header carries of the inner one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marking {
    /// Its DSCP.
    pub copy_dscp: bool,
    /// The DSCP in its place otherwise, 0 to 63.
    pub dscp: u8,
    /// Its ECN field (RFC 6040 §4.1, normal mode); otherwise Not-ECT (compatibility mode), so that routers drop and do not
    /// mark.
    pub ecn: bool,
}

impl Default for Marking {
    /// All of it.
    fn default() -> Self {
        Self { copy_dscp: true, dscp: 0, ecn: true }
    }
}

/// The outer TOS or traffic class for an inner one.
pub const fn encapsulate(inner: u8, marking: Marking) -> u8 {
    let dscp = if marking.copy_dscp { inner & !ECN } else { marking.dscp << 2 };
    let ecn = if marking.ecn { inner & ECN } else { NOT_ECT };
    dscp | ecn
}

/// The inner TOS or traffic class to deliver after it arrived in an outer one (§4.2, figure 4). The DSCP is the
/// inner one always.
///
/// # Errors
/// [`DropReason::EcnCeOnNotEct`]: "the decapsulator MUST drop the packet".
pub const fn decapsulate(outer: u8, inner: u8) -> Result<u8, DropReason> {
    let ecn = match (inner & ECN, outer & ECN) {
        (NOT_ECT, CE) => return Err(DropReason::EcnCeOnNotEct),
        (ECT_0 | ECT_1, CE) => CE,
        (ECT_0, ECT_1) => ECT_1,
        (inner, _) => inner,
    };
    Ok(inner & !ECN | ecn)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6040 figure 4: rows are the inner codepoint, columns the outer one, both in the order of the figure.
    #[test]
    fn every_pair_of_codepoints_gives_what_the_figure_says() {
        let order = [NOT_ECT, ECT_0, ECT_1, CE];
        let figure = [
            [Some(NOT_ECT), Some(NOT_ECT), Some(NOT_ECT), None],
            [Some(ECT_0), Some(ECT_0), Some(ECT_1), Some(CE)],
            [Some(ECT_1), Some(ECT_1), Some(ECT_1), Some(CE)],
            [Some(CE), Some(CE), Some(CE), Some(CE)],
        ];
        for (inner, row) in order.into_iter().zip(figure) {
            for (outer, expected) in order.into_iter().zip(row) {
                for (inner_dscp, outer_dscp) in [(0, 0), (46 << 2, 0), (0, 46 << 2), (0xfc, 10 << 2)] {
                    let got = decapsulate(outer_dscp | outer, inner_dscp | inner);
                    let expected = expected.map(|ecn| inner_dscp | ecn).ok_or(DropReason::EcnCeOnNotEct);
                    assert_eq!(got, expected, "inner {inner:02b} outer {outer:02b}");
                }
            }
        }
    }

    #[test]
    fn the_outer_header_carries_of_dscp_and_ecn_what_was_asked_for() {
        let marking = |copy_dscp, ecn| Marking { copy_dscp, dscp: 46, ecn };
        for inner in 0..=u8::MAX {
            assert_eq!(encapsulate(inner, Marking::default()), inner);
            assert_eq!(encapsulate(inner, marking(true, false)), inner & 0xfc);
            assert_eq!(encapsulate(inner, marking(false, true)), 46 << 2 | inner & 3);
            assert_eq!(encapsulate(inner, marking(false, false)), 46 << 2);
        }
    }
}
