use proptest::prelude::*;

use super::*;

fn header(exchange: ExchangeType) -> Header {
    Header {
        spi_i: IkeSpi([1; 8]),
        spi_r: IkeSpi([2; 8]),
        next_payload: PayloadType::NONE,
        exchange,
        from_initiator: true,
        response: false,
        message_id: 7,
        length: 0,
    }
}

fn sample() -> Vec<Payload> {
    let key = |bits| Transform { key_length: Some(bits), ..Transform::new(TransformType::ENCR, 20) };
    vec![
        Payload::Sa(vec![
            Proposal {
                number: 1,
                protocol: ProtocolId::IKE,
                spi: vec![],
                transforms: vec![key(256), key(128), Transform::new(TransformType::KE, 31)],
            },
            Proposal {
                number: 2,
                protocol: ProtocolId::ESP,
                spi: vec![1, 2, 3, 4],
                transforms: vec![key(128)],
            },
        ]),
        Payload::KeyExchange { group: 31, data: vec![9; 32] },
        Payload::Nonce(vec![5; 32]),
        Payload::IdInitiator(IdData {
            reserved: [1, 2, 3],
            ..IdData::new(IdType::FQDN, b"a.example".to_vec())
        }),
        Payload::Configuration(Configuration {
            kind: ConfigurationType::CFG_REQUEST,
            attributes: vec![
                Attribute::Ip4Address(Some([10, 0, 0, 9].into())),
                Attribute::Ip6Address(Some(([1u16; 8].into(), 64))),
                Attribute::Ip4Dns(None),
                Attribute::Ip6Dns(None),
                Attribute::Other(AttributeType::APPLICATION_VERSION, b"box".to_vec()),
            ],
        }),
        Payload::Auth(AuthData { method: AuthMethod::SHARED_KEY_MIC, data: vec![1; 32] }),
        Payload::Notify(Notify::about(NotifyType::REKEY_SA, EspSpi(0x1234_5678))),
        Payload::Notify(Notify::new(NotifyType::COOKIE, vec![1, 2, 3])),
        Payload::Delete(Delete::Esp(vec![EspSpi(1000), EspSpi(1001)])),
        Payload::Delete(Delete::Ike),
        Payload::TsInitiator(vec![
            WireSelector {
                protocol: 6,
                first_port: 1,
                last_port: 2,
                first: [10, 0, 0, 0].into(),
                last: [10, 0, 0, 9].into(),
            },
            WireSelector {
                protocol: 0,
                first_port: 0,
                last_port: 65535,
                first: [0u16; 8].into(),
                last: [0xffffu16; 8].into(),
            },
        ]),
    ]
}

#[test]
fn what_was_written_reads_back() {
    let bytes = emit_clear(header(ExchangeType::IKE_SA_INIT), &sample());
    let datagram = Datagram::parse(&bytes).unwrap();
    assert_eq!(datagram.header.message_id, 7);
    assert!(datagram.header.from_initiator && !datagram.header.response);
    let Body::Clear(payloads) = datagram.body else { panic!("clear text expected") };
    assert_eq!(payloads, sample());
}

#[test]
fn an_encrypted_message_keeps_its_associated_data_and_chain() {
    for (block, overhead) in [(1, 8 + 16), (16, 16 + 32)] {
        let frame = Frame { block, overhead };
        let (associated, plaintext) = prepare_encrypted(header(ExchangeType::IKE_AUTH), &sample(), frame);
        assert_eq!(plaintext.len() % block, 0);
        let bytes = [&associated[..], &plaintext, &vec![7; overhead]].concat();
        let datagram = Datagram::parse(&bytes).unwrap();
        let Body::Encrypted(sk) = datagram.body else { panic!("encrypted expected") };
        assert_eq!((sk.associated, sk.first), (&associated[..], PayloadType::SA));
        assert_eq!(parse_opened(sk.first, &sk.sealed[..sk.sealed.len() - overhead]).unwrap(), sample());
    }
}

#[test]
fn padding_fills_the_block_and_no_more() {
    for block in [1, 16] {
        for length in 0..40 {
            let payloads = [Payload::Notify(Notify::new(NotifyType::COOKIE, vec![7; length]))];
            let (_, plaintext) = prepare_encrypted(
                header(ExchangeType::INFORMATIONAL),
                &payloads,
                Frame { block, overhead: 0 },
            );
            let padding = usize::from(*plaintext.last().unwrap());
            assert_eq!(plaintext.len() % block, 0);
            assert!(padding < block, "{padding} of {block}");
            assert_eq!(parse_opened(PayloadType::NOTIFY, &plaintext).unwrap(), payloads);
        }
    }
}

#[test]
fn every_truncation_and_every_length_lie_is_refused() {
    let bytes = emit_clear(header(ExchangeType::IKE_SA_INIT), &sample());
    for length in 0..bytes.len() {
        assert!(Datagram::parse(&bytes[..length]).is_err(), "truncated to {length}");
        let mut shorter = bytes[..length].to_vec();
        if length >= Header::LENGTH {
            shorter[24..28].copy_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
            assert!(Datagram::parse(&shorter).is_err() || length == Header::LENGTH, "cut to {length}");
        }
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(Datagram::parse(&longer).unwrap_err(), Malformed::Syntax("length in the header"));
}

#[test]
fn an_unknown_critical_payload_is_refused_and_an_uncritical_one_carried() {
    let chain = |flags: u8| [0, flags, 0, 5, 1];
    assert_eq!(parse_chain(PayloadType(200), &chain(0)), Ok(vec![Payload::Other(PayloadType(200))]));
    assert_eq!(parse_chain(PayloadType(200), &chain(0x80)), Err(Malformed::UnsupportedCritical(200)));
}

#[test]
fn versions_and_nonces_are_checked() {
    let mut bytes = emit_clear(header(ExchangeType::IKE_SA_INIT), &[]);
    bytes[17] = 0x10;
    assert_eq!(Datagram::parse(&bytes).unwrap_err(), Malformed::MajorVersion(1));
    bytes[17] = 0x2f;
    assert!(Datagram::parse(&bytes).is_ok(), "the minor version is ignored");
    for length in [0, 15, 257] {
        let bytes = emit_clear(header(ExchangeType::IKE_SA_INIT), &[Payload::Nonce(vec![0; length])]);
        assert!(Datagram::parse(&bytes).is_err(), "nonce of {length} bytes");
    }
}

proptest! {
    #[test]
    fn no_input_makes_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = Datagram::parse(&bytes);
        let _ = parse_opened(PayloadType::SA, &bytes);
    }

    #[test]
    fn a_mutated_message_parses_to_something_that_writes_back(position in 28usize..400, value: u8) {
        let mut bytes = emit_clear(header(ExchangeType::IKE_SA_INIT), &sample());
        let position = position % bytes.len();
        bytes[position] = value;
        if let Ok(Datagram { header, body: Body::Clear(payloads), .. }) = Datagram::parse(&bytes) {
            let again = emit_clear(header, &payloads);
            if let Ok(Datagram { body: Body::Clear(second), .. }) = Datagram::parse(&again) {
                prop_assert_eq!(payloads.len(), second.len());
            }
        }
    }
}
