"""Addresses that no request of ours may ever reach.

The metadata services of clouds, most of them on link-local networks, hand credentials to
whoever asks from the inside. A host name can be made to resolve to them, so the question is
asked of the address that is really connected to, never of the name. Loopback and private
networks are allowed: sandboxes and on-premises agents live there.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_METADATA = frozenset(
    map(
        ip_address,
        (
            "100.100.100.200",  # Alibaba Cloud
            "168.63.129.16",  # Azure's platform agent
            "192.0.0.192",  # Oracle Cloud, classic
            "fd00:c1::a9fe:a9fe",  # Oracle Cloud
            "fd00:ec2::254",  # AWS
            "fd20:ce::254",  # Google Cloud
        ),
    )
)
"""Those outside the link-local networks 169.254.0.0/16 and fe80::/10."""

_NAT64 = IPv6Network("64:ff9b::/96")
"""IPv4 addresses as IPv6-only networks see them (RFC 6052)."""


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine itself: `localhost` or a loopback address. Other
    names are not, whatever they resolve to: anybody can make one resolve to loopback."""
    try:
        address = ip_address(host)
    except ValueError:
        return host.lower() == "localhost"
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    return address.is_loopback


def forbidden_address(ip: str) -> bool:
    """Return whether `ip` is link-local or a metadata service, in any IPv6 disguise.

    What is not an IP address is forbidden too: in doubt nothing is sent.
    """
    try:
        address = ip_address(ip)
    except ValueError:
        return True
    if isinstance(address, IPv6Address):
        address = _embedded(address) or IPv6Address(int(address))  # the latter drops a scope id
    return address.is_link_local or address in _METADATA


def _embedded(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
