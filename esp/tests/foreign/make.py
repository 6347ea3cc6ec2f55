"""ESP by Scapy (scapy.layers.ipsec), for esp/tests/foreign.rs.

    python3 -m venv venv && venv/bin/pip install scapy==2.8.0 cryptography==50.0.2
    venv/bin/python esp/tests/foreign/make.py > esp/tests/foreign/scapy.txt

Each line: suite, whether sequence numbers are extended, sequence number, inner packet, whole outer packet. The keys are those of
`Direction::new`: byte n of the key material is 7n+3. The first two packets of an SA have the IV that our sender would use.
"""

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.packet import raw

SPI = 0xC0DE0001
# Name, Scapy's names, bytes of the key with its salt, and of the integrity key.
SUITES = [
    ("aes128gcm16", "AES-GCM", None, 20, 0),
    ("aes256gcm16", "AES-GCM", None, 36, 0),
    ("chacha20poly1305", "CHACHA20-POLY1305", None, 36, 0),
    ("aes128-sha256", "AES-CBC", "SHA2-256-128", 16, 32),
    ("aes256-sha256", "AES-CBC", "SHA2-256-128", 32, 32),
    ("aes256-sha384", "AES-CBC", "SHA2-384-192", 32, 48),
    ("aes256-sha512", "AES-CBC", "SHA2-512-256", 32, 64),
]
OUTER = [
    IP(src="198.51.100.2", dst="203.0.113.2"),
    IPv6(src="2001:db8:aa::2", dst="2001:db8:bb::2"),
]


def inner(number):
    payload = UDP(sport=5000, dport=53) / (b"packet %d" % number * number)
    if number % 2 == 1:
        return IP(src="10.17.0.5", dst="10.1.2.3", ttl=64, id=number) / payload
    return IPv6(src="2001:db8:17::5", dst="2001:db8:1::3", hlim=64) / payload


def iv(cipher, key, sequence, length):
    if sequence > 2:
        return bytes(0xA0 + at for at in range(length))
    if cipher == "AES-CBC":
        block = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
        return block.update(sequence.to_bytes(16, "big"))
    return sequence.to_bytes(8, "big")


def main():
    for name, cipher, integrity, length, more in SUITES:
        keymat = bytes((at * 7 + 3) % 256 for at in range(length + more))
        for outer in OUTER:
            for extended in (False, True):
                last = [1 << 31, (1 << 32) - 1, (1 << 32) + 5] if extended else [1 << 31, (1 << 32) - 1]
                for number, sequence in enumerate([1, 2] + last, 1):
                    sa = SecurityAssociation(
                        ESP, SPI, crypt_algo=cipher, crypt_key=keymat[:length], auth_algo=integrity,
                        auth_key=keymat[length:] or None, tunnel_header=outer, esn_en=extended,
                        esn=sequence >> 32,
                    )
                    vector = iv(cipher, keymat[:length], sequence, 16 if integrity else 8)
                    plain = raw(inner(number))
                    packet = sa.encrypt(inner(number), seq_num=sequence & 0xFFFFFFFF, iv=vector)
                    opened = sa.decrypt(type(outer)(raw(packet)))
                    assert raw(opened) == plain, (name, sequence)
                    kind = "esn" if extended else "noesn"
                    print(name, kind, sequence, plain.hex(), raw(packet).hex())


main()
