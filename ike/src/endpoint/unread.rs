//! Requests that cannot be read and are answered all the same, outside of any IKE SA and so unprotected (RFC 7296 §1.5, §2.5).

use super::Endpoint;
use crate::path::Path;
use crate::sa::DropReason;
use crate::time::Now;
use crate::wire::{
    ExchangeType, Header, IkeSpi, Malformed, Notify, Payload, PayloadType, Reader, emit_clear,
};

impl Endpoint {
    /// A datagram whose form is wrong: dropped. Its sender is told where the RFC has it so, who may speak better next time;
    /// that anything else is wrong is only said under the keys of an IKE SA (`INVALID_SYNTAX`, §3.10.1).
    pub(super) fn receive_unread(&mut self, now: Now, path: Path, bytes: &[u8], error: Malformed) {
        self.drop_datagram(DropReason::Malformed);
        let Ok((header, _)) = Header::parse_any_version(&mut Reader::new(bytes)) else { return };
        let wanted = !header.response && is_answered(&header, error);
        // As with all first messages: with nothing configured there is nobody to answer for.
        let anybody = !self.stopping && self.connections.acceptable(path.remote_ip()).is_some();
        if wanted && anybody && self.strangers.allowances.unread.take(now.boot) {
            let answer = Header {
                next_payload: PayloadType::NONE,
                from_initiator: !header.from_initiator,
                response: true,
                length: 0,
                ..header
            };
            let payloads = [Payload::Notify(Notify::refusing(error))];
            self.core.output.transmit_datagram(path, emit_clear(answer, &payloads));
        }
    }
}

fn is_answered(header: &Header, error: Malformed) -> bool {
    match error {
        // "a higher major version number, it MUST drop the message and SHOULD send an unauthenticated Notify message of type
        // INVALID_MAJOR_VERSION".
        Malformed::MajorVersion(version) => version > Header::MAJOR,
        // "If the critical flag is set and the payload type is unrecognized, the message MUST be rejected and the response to the
        // IKE request containing that payload MUST include a Notify payload UNSUPPORTED_CRITICAL_PAYLOAD".
        Malformed::UnsupportedCritical(_) => {
            header.exchange == ExchangeType::IKE_SA_INIT
                && (header.spi_r, header.message_id) == (IkeSpi::ZERO, 0)
                && header.spi_i != IkeSpi::ZERO
                && header.from_initiator
        }
        Malformed::Syntax(_) => false,
    }
}
