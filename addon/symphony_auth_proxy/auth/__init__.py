"""Login methods: one file each. Those of bots are found by the name that the BDK's
configuration gives to their credentials; that of users goes with an extension app.

A method is a generator of requests (see `model.LoginMethod`): it says what to send and
reads what comes back, and never opens a socket or looks at a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from symphony_auth_proxy.auth.certificate import CertificateLogin
from symphony_auth_proxy.auth.on_behalf_of import OnBehalfOfLogin
from symphony_auth_proxy.auth.rsa import RsaLogin
from symphony_auth_proxy.keys import KeySource
from symphony_auth_proxy.model import LoginMethod

LOGIN_METHODS: Mapping[str, Callable[[str, KeySource], LoginMethod]] = {
    "privateKey": RsaLogin,
    "certificate": CertificateLogin,
}
"""Called with the username and where its key or certificate comes from."""

__all__ = ["LOGIN_METHODS", "CertificateLogin", "OnBehalfOfLogin", "RsaLogin"]
