//! Bytes to values and back, without any policy (RFC 7296 §3).

mod configuration;
mod cursor;
mod header;
mod message;
mod notify;
mod payload;
mod proposal;
mod registry;
mod selectors;
mod spi;
#[cfg(test)]
mod tests;

pub use configuration::{Attribute, Configuration};
pub use cursor::{Malformed, Reader};
pub use header::Header;
pub use message::{
    Body, Datagram, Encrypted, Fragment, FragmentPlace, Frame, emit_clear, parse_opened, prepare_chain,
    prepare_encrypted, prepare_fragment, strip_padding,
};
pub use notify::{Delete, Notify};
pub use payload::{AuthData, IdData, Payload, emit_chain, parse_chain};
pub use proposal::{Proposal, Transform};
pub use registry::{
    AttributeType, AuthMethod, CertEncoding, ConfigurationType, ExchangeType, IdType, NotifyType,
    PayloadType, ProtocolId, TransformType, TsType,
};
pub use selectors::WireSelector;
pub use spi::{ChildSpi, EspSpi, IkeSpi};
