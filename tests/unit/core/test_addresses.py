from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony_auth_proxy.core.addresses import forbidden_address, is_loopback


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1",
        "fe80::1%eth0",
        "febf::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fd00:c1::a9fe:a9fe",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
    ],
)
def test_link_local_and_metadata_addresses_are_forbidden(address):
    assert forbidden_address(address)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "fd00::1", "203.0.113.9", "2001:db8::1"],
)
def test_loopback_private_and_public_addresses_are_allowed(address):
    assert not forbidden_address(address)


@given(st.ip_addresses(v=4, network=IPv4Network("169.254.0.0/16")))
def test_an_ipv6_disguise_does_not_help(address: IPv4Address):
    number = int(address)
    high, low = number >> 16, number & 0xFFFF
    assert forbidden_address(f"::ffff:{address}")
    assert forbidden_address(f"64:ff9b::{address}")
    assert forbidden_address(f"2002:{high:x}:{low:x}::1")


@given(st.text())
def test_what_is_no_address_is_forbidden_and_never_raises(text):
    try:
        IPv4Address(text)
    except ValueError:
        if ":" not in text:
            assert forbidden_address(text)
    forbidden_address(text)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1"])
def test_this_machine_is_loopback(host):
    assert is_loopback(host)
    assert is_loopback("::ffff:127.0.0.1")


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "127.evil.example", "localhost.evil.example", "10.0.0.1", "127.1"]
)
def test_names_that_only_look_like_it_are_not(host):
    """A web page's own name can be made to resolve to loopback (DNS rebinding)."""
    assert not is_loopback(host)
