"""The names of all that can be the matter: a closed list, and part of the contract."""

from __future__ import annotations

from enum import StrEnum


class Diagnosis(StrEnum):
    """Why a request got no token, or an answer that is no success; or what `doctor` found.

    Every `errors.Reason` and every `unreachable.Trouble` is one, under its own name, and so is
    every `decisions.Untouched` in lower case.
    """

    # Nothing was added, and that is right.
    LOGIN_ANSWERED = "login_answered"
    LOGOUT_ANSWERED = "logout_answered"
    LOGIN = "login"
    LOGOUT = "logout"
    IDM = "idm"
    APP = "app"
    BEARER = "bearer"
    CLIENT_TOKEN = "client_token"  # noqa: S105 (a name, not a password)
    OPEN = "open"
    OTHER_PATH = "other_path"
    OTHER_COMPONENT = "other_component"
    OTHER_HOST = "other_host"

    # This proxy.
    CONFIGURATION = "configuration"
    INTERNAL = "internal"
    DRAINING = "draining"

    # Keys and certificates of bots.
    KEY_MATERIAL = "key_material"
    KEY_FILE = "key_file"
    KEY_FORMAT = "key_format"
    KEY_PASSWORD = "key_password"  # noqa: S105 (a name, not a password)
    KEY_LENGTH = "key_length"
    KEY_PERMISSIONS = "key_permissions"
    BOT_CERTIFICATE_EXPIRED = "bot_certificate_expired"
    BOT_CERTIFICATE_NOT_YET_VALID = "bot_certificate_not_yet_valid"
    BOT_CERTIFICATE_NAME = "bot_certificate_name"

    # Logins.
    LOGIN_REJECTED = "login_rejected"
    KEY_NOT_ACCEPTED = "key_not_accepted"
    CERTIFICATE_NOT_ACCEPTED = "certificate_not_accepted"
    ACCOUNT_NOT_ALLOWED = "account_not_allowed"
    APP_NOT_ACCEPTED = "app_not_accepted"
    USER_NOT_ACCEPTED = "user_not_accepted"
    CLOCK_SKEW = "clock_skew"
    LOGIN_UNAVAILABLE = "login_unavailable"
    LOGIN_PROTOCOL = "login_protocol"
    KEY_MANAGER_UNAVAILABLE = "key_manager_unavailable"
    KEY_MANAGER_NOT_REGISTERED = "key_manager_not_registered"
    KEY_DELIVERY_INCOMPLETE = "key_delivery_incomplete"
    WRONG_ENDPOINT = "wrong_endpoint"
    WRONG_PORT = "wrong_port"
    NOT_SYMPHONY = "not_symphony"
    TOKENS_REFUSED = "tokens_refused"

    # The way to a host.
    DNS = "dns"
    REFUSED = "refused"
    NO_ROUTE = "no_route"
    CONNECT_TIMEOUT = "connect_timeout"
    CONNECT_FAILED = "connect_failed"
    ADDRESS_REFUSED = "address_refused"
    PROXY_UNREACHABLE = "proxy_unreachable"
    PROXY_CREDENTIALS = "proxy_credentials"
    PROXY_REFUSED = "proxy_refused"
    TLS_TIMEOUT = "tls_timeout"
    TLS_FAILED = "tls_failed"
    NOT_TLS = "not_tls"
    CERTIFICATE_UNTRUSTED = "certificate_untrusted"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_NAME = "certificate_name"
    CLIENT_CERTIFICATE = "client_certificate"
    READ_TIMEOUT = "read_timeout"
    CLOSED = "closed"
    NOT_HTTP = "not_http"
    UPSTREAM_UNREACHABLE = "upstream_unreachable"
    UPSTREAM_CERTIFICATE = "upstream_certificate"
    UPSTREAM_BROKEN = "upstream_broken"
    INSECURE_UPSTREAM = "insecure_upstream"

    # What Symphony, or what stands before it, answered.
    TOKEN_REFUSED = "token_refused"  # noqa: S105 (a name, not a password)
    TOKEN_REFUSED_NOT_RESENT = "token_refused_not_resent"  # noqa: S105 (a name, not a password)
    CLIENT_TOKEN_DEAD = "client_token_dead"  # noqa: S105 (a name, not a password)
    LOGIN_OF_CLIENT_REFUSED = "login_of_client_refused"
    TOKEN_MISSING = "token_missing"  # noqa: S105 (a name, not a password)
    NOT_ENTITLED = "not_entitled"
    GATEWAY_REFUSED = "gateway_refused"
    GATEWAY_UNAVAILABLE = "gateway_unavailable"
    SYMPHONY_UNAVAILABLE = "symphony_unavailable"
    WRONG_COMPONENT = "wrong_component"

    # The request, or who sent it.
    MALFORMED_REQUEST = "malformed_request"
    AMBIGUOUS_PATH = "ambiguous_path"
    AMBIGUOUS_DESTINATION = "ambiguous_destination"
    HOST_REFUSED = "host_refused"
    CLIENTS_REQUIRED = "clients_required"
    CLIENT_UNKNOWN = "client_unknown"
    CLIENT_TOKEN_REFUSED = "client_token_refused"  # noqa: S105 (a name, not a password)
    CROSS_SITE = "cross_site"
    NOT_GRANTED = "not_granted"
    UNKNOWN_BOT = "unknown_bot"
    NO_APP = "no_app"
    PLACEHOLDER_EXPIRED = "placeholder_expired"
    PLACEHOLDER_WORTHLESS = "placeholder_worthless"

    # What runs on this machine.
    CA_NOT_TRUSTED_HERE = "ca_not_trusted_here"
    CA_EXPIRES = "ca_expires"
