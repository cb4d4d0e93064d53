"""Which addresses webhooks may reach."""

import pytest

from corvo_server.webhooks.addresses import Addresses, read_network


def words(text: str) -> list[str]:
    return text.split()


REFUSED = words("""
    0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1
    127.255.255.254 168.63.129.16 169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255 192.0.0.1
    192.0.0.192 192.0.2.1 192.88.99.1 192.168.0.1 192.168.255.255 198.18.0.1 198.19.255.255
    198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
    :: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0:127.0.0.1
    64:ff9b::7f00:1 64:ff9b::10.0.0.1 64:ff9b::169.254.169.254 64:ff9b:1::1 100::1 2001::1
    2001:0:7f00:1:: 2001:db8::1 2002:7f00:1:: 2002:a00:1::1 3fff::1 4000::1 5f00::1 fc00::1
    fd00:ec2::254 fd12:3456::1 fe80::1 fe80::1%eth0 fec0::1 ff02::1 ff0e::1
    2606:4700:4700::1111%eth0 64:ff9b::10.0.0.1%eth0
""")
PUBLIC = words("""
    1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.1 100.63.255.255 100.128.0.1 126.255.255.255 128.0.0.1
    172.15.255.255 172.32.0.1 192.167.255.255 192.169.0.1 223.255.255.255
    2606:4700:4700::1111 2a00:1450:4001::1 ::ffff:8.8.8.8 64:ff9b::8.8.8.8
""")


@pytest.mark.parametrize("address", REFUSED)
def test_address_that_is_not_public_is_refused(address: str) -> None:
    assert Addresses().reachable([address]) == []
    assert Addresses().find_refused(address) is not None


@pytest.mark.parametrize("address", PUBLIC)
def test_public_address_is_reachable(address: str) -> None:
    assert Addresses().reachable([address]) == [address]
    assert Addresses().find_refused(address) is None


@pytest.mark.parametrize(
    ("allowed", "address", "expected"),
    [
        ("10.1.0.0/16", "10.1.2.3", True),
        ("10.1.0.0/16", "10.2.0.1", False),
        ("10.1.0.0/16", "::ffff:10.1.2.3", True),
        ("10.1.0.0/16", "64:ff9b::10.1.2.3", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("::1", "::1", True),
        ("fd00::/8", "fd00:ec2::254", True),
        ("fd00::/8", "fe80::1", False),
        ("64:ff9b::/96", "64:ff9b::127.0.0.1", True),
        ("64:ff9b::/96", "127.0.0.1", False),
        ("0.0.0.0/0", "::1", False),
    ],
)
def test_allowed_network_is_reachable(allowed: str, address: str, *, expected: bool) -> None:
    assert bool(Addresses([allowed]).reachable([address])) is expected


def test_names_are_checked_later() -> None:
    assert Addresses().find_refused("localhost") is None
    assert Addresses().find_refused("[::1]") == "::1"


@pytest.mark.parametrize("text", ["", "10.0.0.1/8", "localhost", "10.0.0.0/33", "*"])
def test_malformed_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a network"):
        read_network(text)
