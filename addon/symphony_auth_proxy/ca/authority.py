"""The proxy's own CA: the certificate authority that the proxy's clients trust.

To add headers, the proxy answers TLS in the name of Symphony's hosts. The CA that lets it do
so is made on first use, is another one in each installation, and can sign for the configured
hosts only (see `certificates.make_limited_ca`): whoever steals its key cannot pose as any
other site. It lies in the files that mitmproxy looks for, so that stock tools use it too:

    mitmproxy-ca.pem         the signing key, its certificate, the root: for nobody else to read
    mitmproxy-ca-cert.pem    the root, which clients trust; also as .cer and, for Java, as .p12

No signing key is ever overwritten: `ensure` uses the one that is there or says why it cannot
be used, and `rotate` keeps the old one beside the new one.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from symphony_auth_proxy import files
from symphony_auth_proxy.ca import ca_files
from symphony_auth_proxy.ca.ca_files import CERTIFICATE_FILE, KEY_FILE
from symphony_auth_proxy.certificates import certificates_pem, make_limited_ca, private_key_pem
from symphony_auth_proxy.errors import ConfigError, Problem
from symphony_auth_proxy.model import Settings

LOCAL_HOSTS = ("symphony.proxy", "localhost", "127.0.0.1", "::1")
"""What the proxy itself is called: its pages, and the listeners of reverse mode."""

_DAYS = 730
_EXPIRY_WARNING = timedelta(days=30)
_ORGANIZATION = "symphony-auth-proxy"
_WAY_OUT = "`symphony-auth-proxy ca rotate` makes a new one, which clients must then get"


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA that can be used."""

    directory: Path
    root: x509.Certificate
    """What clients trust."""
    not_after: datetime
    """When the first of its certificates expires, in UTC."""
    hosts: tuple[str, ...] | None
    """What it can sign for, names below these included; None: for any host."""

    @property
    def certificate(self) -> Path:
        """The PEM file that clients trust."""
        return self.directory / CERTIFICATE_FILE

    @property
    def subject(self) -> str:
        return self.root.subject.rfc4514_string()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what clients trust, as keytool and openssl write it."""
        return self.root.fingerprint(hashes.SHA256()).hex(":").upper()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is worth a look, but no reason to refuse."""
        found = []
        if self.hosts is None:
            found.append(
                f"the CA in {self.directory} can sign for any host: whoever gets its key can "
                "pose as any site to the clients that trust it. `symphony-auth-proxy ca rotate` "
                "makes one that is limited to the hosts of the configuration"
            )
        if self.not_after - datetime.now(UTC) < _EXPIRY_WARNING:
            found.append(
                f"the CA in {self.directory} expires on {self.not_after:%Y-%m-%d}: {_WAY_OUT}"
            )
        return tuple(found)

    def covers(self, host: str) -> bool:
        """Whether it can sign for a host (in its canonical spelling)."""
        return self.hosts is None or any(_is_within(host, allowed) for allowed in self.hosts)


def hosts_of(settings: Settings) -> tuple[str, ...]:
    """Return the hosts that a configuration needs the CA for."""
    endpoints = [endpoint for bot in settings.bots for _, endpoint in bot.pod.endpoints()]
    return tuple(dict.fromkeys(endpoint.origin.host for endpoint in endpoints))


def ensure(directory: Path, hosts: Collection[str]) -> Authority:
    """Return the CA of a directory; make it, for `hosts`, when there is none.

    Of two processes that make it at once, one wins and both use that one's. Raises ConfigError
    when the CA cannot be used, others can read its key, or it is not for all of `hosts`.
    """
    with ca_files.problems_of(directory):
        ca_files.make_private(directory)
        if not (directory / KEY_FILE).exists():
            files.create(directory / KEY_FILE, _made(hosts))
        found = load(directory)
    missing = [host for host in hosts if not found.covers(host)]
    if missing:
        raise _unusable(directory, f"is not for {', '.join(missing)}; {_WAY_OUT}")
    return found


def load(directory: Path) -> Authority:
    """Read and check the CA of a directory, and write the files for clients where they are
    missing or another CA's. Raises ConfigError."""
    with ca_files.problems_of(directory):
        ca_files.check_directory(directory)
        ca_files.check_keys(directory)
        data = (directory / KEY_FILE).read_bytes()
        chain = _chain(directory, data)
        not_after = min(one.not_valid_after_utc for one in chain)
        if not_after <= datetime.now(UTC):
            raise _unusable(directory, f"expired on {not_after:%Y-%m-%d}; {_WAY_OUT}")
        root = ca_files.publish(directory, chain[-1])
    return Authority(directory, root, not_after, _limits(chain))


def rotate(directory: Path, hosts: Collection[str]) -> tuple[Authority, tuple[Path, ...]]:
    """Make a new CA for `hosts`. Returns it, and where the old one's files are kept now.

    Raises ConfigError.
    """
    with ca_files.problems_of(directory):
        ca_files.make_private(directory)
        kept = ca_files.keep_aside(directory, datetime.now(UTC))
        files.replace(directory / KEY_FILE, _made(hosts), private=True)
        return load(directory), kept


def _made(hosts: Collection[str]) -> bytes:
    """Make a CA. Its name differs from that of any other one: clients that trust several
    CAs find the right one by it."""
    name = f"symphony-auth-proxy CA {secrets.token_hex(4)}"
    made = make_limited_ca(name, _permitted(hosts), organization=_ORGANIZATION, days=_DAYS)
    return private_key_pem(made.key) + certificates_pem([made.certificate, made.root])


def _permitted(hosts: Iterable[str]) -> list[x509.GeneralName]:
    """Return the name constraints. They hold DNS names and addresses, so that nothing else of
    either kind is permitted.

    mitmproxy's certificate for an IPv4 address has it as its CN, too, which OpenSSL and Java
    read as a DNS name when there is no other. Such "names" are permitted only where a
    configured host is an address: some verifiers (rustls) refuse the whole CA over them.
    """
    addresses = [host for host in hosts if _is_ipv4(host)]
    as_names = dict.fromkeys([*addresses, "127.0.0.1"]) if addresses else ()
    return [
        *(_general_name(host) for host in dict.fromkeys((*hosts, *LOCAL_HOSTS))),
        *(x509.DNSName(address) for address in as_names),
    ]


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_network(host))
    except ValueError:
        return x509.DNSName(host)


def _is_ipv4(host: str) -> bool:
    try:
        return isinstance(ip_address(host), IPv4Address)
    except ValueError:
        return False


def _limits(chain: Iterable[x509.Certificate]) -> tuple[str, ...] | None:
    """Return the names that the chain's first limited certificate permits."""
    for certificate in chain:
        try:
            extension = certificate.extensions.get_extension_for_class(x509.NameConstraints)
        except x509.ExtensionNotFound:
            continue
        permitted = extension.value.permitted_subtrees or []
        if any(isinstance(name, x509.DNSName) for name in permitted):
            return tuple(dict.fromkeys(_text(name) for name in permitted))
    return None


def _text(name: x509.GeneralName) -> str:
    match name.value:
        case IPv4Network() | IPv6Network() as network if network.num_addresses == 1:
            return str(network.network_address)
        case value:
            return str(value)


def _is_within(host: str, allowed: str) -> bool:
    try:
        return ip_address(host) in ip_network(allowed)
    except ValueError:
        return host == allowed or host.endswith(f".{allowed}")


def _chain(directory: Path, data: bytes) -> tuple[x509.Certificate, ...]:
    try:
        chain = tuple(x509.load_pem_x509_certificates(data))
        key = load_pem_private_key(data, None)
    except TypeError:  # the key is encrypted: `cert_passphrase` of mitmproxy opens it
        return chain
    except ValueError:
        raise _unusable(
            directory, f"holds no readable key and certificate in {KEY_FILE}; {_WAY_OUT}"
        ) from None
    if key.public_key() != chain[0].public_key():
        raise _unusable(
            directory,
            f"has a key in {KEY_FILE} that does not belong to the first certificate there: the "
            "signing certificate comes first, its issuers follow",
        )
    return chain


def _unusable(directory: Path, why: str) -> ConfigError:
    return ConfigError([Problem("authProxy.ca", f"the CA in {directory} {why}")])
