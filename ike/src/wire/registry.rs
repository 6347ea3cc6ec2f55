//! The IANA registries of `IKEv2` as far as we name their values; other values are carried as they are.

use std::fmt;

macro_rules! registry {
    ($(#[$doc:meta])* $type:ident($int:ty) { $($name:ident = $value:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(pub $int);

        #[allow(missing_docs, reason = "the names are the registry's")]
        impl $type {
            $(pub const $name: Self = Self($value);)+
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {
                    $(Self::$name => f.write_str(stringify!($name)),)+
                    Self(other) => write!(f, "{}", other),
                }
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

registry! {
    /// RFC 7296 §3.1.
    ExchangeType(u8) { IKE_SA_INIT = 34, IKE_AUTH = 35, CREATE_CHILD_SA = 36, INFORMATIONAL = 37 }
}

registry! {
    /// RFC 7296 §3.2.
    PayloadType(u8) {
        NONE = 0, SA = 33, KE = 34, IDI = 35, IDR = 36, CERT = 37, CERTREQ = 38, AUTH = 39, NONCE = 40, NOTIFY = 41,
        DELETE = 42, VENDOR = 43, TSI = 44, TSR = 45, SK = 46, CP = 47, EAP = 48, SKF = 53,
    }
}

registry! {
    /// RFC 7296 §3.15.
    ConfigurationType(u8) { CFG_REQUEST = 1, CFG_REPLY = 2, CFG_SET = 3, CFG_ACK = 4 }
}

registry! {
    /// RFC 7296 §3.15.1; 15 bits.
    AttributeType(u16) {
        INTERNAL_IP4_ADDRESS = 1, INTERNAL_IP4_NETMASK = 2, INTERNAL_IP4_DNS = 3, INTERNAL_IP4_NBNS = 4,
        INTERNAL_IP4_DHCP = 6, APPLICATION_VERSION = 7, INTERNAL_IP6_ADDRESS = 8, INTERNAL_IP6_DNS = 10,
        INTERNAL_IP6_DHCP = 12, INTERNAL_IP4_SUBNET = 13, SUPPORTED_ATTRIBUTES = 14, INTERNAL_IP6_SUBNET = 15,
    }
}

registry! {
    /// RFC 7296 §3.10.1. Types below 16,384 are errors. The last is of the range for private use, and ours: "an implementation
    /// ... MUST ignore" status that it does not know, so it serves to make a message longer.
    NotifyType(u16) {
        UNSUPPORTED_CRITICAL_PAYLOAD = 1, INVALID_IKE_SPI = 4, INVALID_MAJOR_VERSION = 5, INVALID_SYNTAX = 7,
        INVALID_MESSAGE_ID = 9, INVALID_SPI = 11, NO_PROPOSAL_CHOSEN = 14, INVALID_KE_PAYLOAD = 17,
        AUTHENTICATION_FAILED = 24, SINGLE_PAIR_REQUIRED = 34, NO_ADDITIONAL_SAS = 35,
        INTERNAL_ADDRESS_FAILURE = 36, FAILED_CP_REQUIRED = 37, TS_UNACCEPTABLE = 38, INVALID_SELECTORS = 39,
        TEMPORARY_FAILURE = 43, CHILD_SA_NOT_FOUND = 44,
        INITIAL_CONTACT = 16384, SET_WINDOW_SIZE = 16385, ADDITIONAL_TS_POSSIBLE = 16386, IPCOMP_SUPPORTED = 16387,
        NAT_DETECTION_SOURCE_IP = 16388, NAT_DETECTION_DESTINATION_IP = 16389, COOKIE = 16390,
        USE_TRANSPORT_MODE = 16391, HTTP_CERT_LOOKUP_SUPPORTED = 16392, REKEY_SA = 16393,
        ESP_TFC_PADDING_NOT_SUPPORTED = 16394, NON_FIRST_FRAGMENTS_ALSO = 16395, MOBIKE_SUPPORTED = 16396,
        CHILDLESS_IKEV2_SUPPORTED = 16418,
        IKEV2_FRAGMENTATION_SUPPORTED = 16430, SIGNATURE_HASH_ALGORITHMS = 16431, INTERMEDIATE_EXCHANGE_SUPPORTED = 16438,
        PATH_MTU_PROBE = 61_234,
    }
}

impl PayloadType {
    /// Whether RFC 7296 or RFC 7383 defines it: "all implementations MUST understand all payload types defined in this
    /// document", and so ignore their critical bit (§3.2).
    pub fn is_known(self) -> bool {
        (Self::SA..=Self::EAP).contains(&self) || self == Self::SKF
    }
}

impl ExchangeType {
    /// Those that we know.
    pub const ALL: [Self; 4] =
        [Self::IKE_SA_INIT, Self::IKE_AUTH, Self::CREATE_CHILD_SA, Self::INFORMATIONAL];
}

impl NotifyType {
    /// RFC 7296 §3.10.1: "types in the range 0 - 16383 are intended for reporting errors".
    pub fn is_error(self) -> bool {
        self.0 < 16_384
    }
}

registry! {
    /// RFC 7296 §3.3.1.
    ProtocolId(u8) { NONE = 0, IKE = 1, AH = 2, ESP = 3 }
}

registry! {
    /// RFC 7296 §3.3.2; 6 to 12 are RFC 9370's.
    TransformType(u8) { ENCR = 1, PRF = 2, INTEG = 3, KE = 4, ESN = 5, ADDKE1 = 6, ADDKE7 = 12 }
}

impl TransformType {
    /// Whether 0 is NONE, "no transform of this type", in its registry (RFC 7296 §3.3.2; RFC 9370 §2.2.2).
    pub fn has_none(self) -> bool {
        matches!(self, Self::INTEG | Self::KE) || (Self::ADDKE1..=Self::ADDKE7).contains(&self)
    }
}

registry! {
    /// RFC 7296 §3.5.
    IdType(u8) { IPV4_ADDR = 1, FQDN = 2, RFC822_ADDR = 3, IPV6_ADDR = 5, DER_ASN1_DN = 9, DER_ASN1_GN = 10, KEY_ID = 11 }
}

registry! {
    /// RFC 7296 §3.8.
    AuthMethod(u8) {
        RSA_SIGNATURE = 1, SHARED_KEY_MIC = 2, DSS_SIGNATURE = 3, ECDSA_256 = 9, ECDSA_384 = 10, ECDSA_521 = 11,
        NULL = 13, DIGITAL_SIGNATURE = 14,
    }
}

registry! {
    /// RFC 7296 §3.6; 14 is RFC 4806's, 15 RFC 7670's.
    CertEncoding(u8) {
        X509_SIGNATURE = 4, CRL = 7, HASH_AND_URL = 12, HASH_AND_URL_BUNDLE = 13, OCSP_CONTENT = 14,
        RAW_PUBLIC_KEY = 15,
    }
}

registry! {
    /// RFC 7296 §3.13.1.
    TsType(u8) { IPV4_ADDR_RANGE = 7, IPV6_ADDR_RANGE = 8 }
}
