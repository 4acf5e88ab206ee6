"""What each diagnosis means, and the way out.

Each text is one clause in ASCII without a full stop: it stands in a column of a list, in a
header and in a table. It says nothing about a single case, so nothing of it is secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from symphony_auth_proxy.diagnoses.names import Diagnosis as D  # noqa: N817 (eighty rows)


@dataclass(frozen=True, slots=True)
class Meaning:
    """One entry of the list, for people."""

    sentence: str
    """What it means: a clause without a full stop."""
    way_out: str = ""
    """What to do; empty where there is nothing to do."""


_REQUESTS = {
    D.LOGIN_ANSWERED: Meaning("the proxy answered this login itself, with a placeholder"),
    D.LOGOUT_ANSWERED: Meaning(
        "the proxy answered this logout itself: the session is shared, and lives on"
    ),
    D.LOGIN: Meaning(
        "a login brings its own credentials",
        "`answerLogins` has logins of configured bots answered here",
    ),
    D.LOGOUT: Meaning("a logout gets no token: it would end the session that all bots share"),
    D.IDM: Meaning(
        "this call exchanges whichever session it brings, so none is added",
        "send the session that is to be exchanged",
    ),
    D.APP: Meaning(
        "this call wants the session of an extension app, not a bot's",
        "send the app's own sessionToken",
    ),
    D.BEARER: Meaning(
        "this call carries or wants an Authorization: Bearer of its own",
        "leave Authorization out to get the bot's tokens; /profile-manager, /at2 and /files take "
        "a Common JWT only",
    ),
    D.CLIENT_TOKEN: Meaning(
        "the request brings a token of its own, which stays",
        "leave sessionToken, keyManagerToken and session cookies out, or set "
        "`clientTokens: replace`",
    ),
    D.OPEN: Meaning("health and info need no token"),
    D.OTHER_PATH: Meaning(
        "no Symphony API that takes a bot's tokens is known below this path",
        "check the path, and the component's `context`",
    ),
    D.OTHER_COMPONENT: Meaning(
        "this host and port is configured for another component, or another bot, than the call "
        "is for",
        "call the component at its own address, or correct `pod` and `agent`",
    ),
    D.OTHER_HOST: Meaning(
        "this host and port is not one of the configuration",
        "if it is Symphony's, name it under `host`, `pod` or `agent`, with its port",
    ),
    D.MALFORMED_REQUEST: Meaning(
        "the request cannot be read, or not in one way only", "send valid HTTP, each header once"
    ),
    D.AMBIGUOUS_PATH: Meaning(
        "the path can be read in more than one way",
        "no encoded dots and slashes, backslashes and parameters in paths",
    ),
    D.AMBIGUOUS_DESTINATION: Meaning(
        "URL, Host header and TLS name different places", "send one and the same host in all three"
    ),
    D.HOST_REFUSED: Meaning(
        "only Symphony's hosts are served here (`otherHosts: refuse`)",
        "reach it without this proxy",
    ),
    D.CLIENTS_REQUIRED: Meaning(
        "the proxy listens where anybody could speak as the bot",
        "start it with `--listen-host 127.0.0.1`, or configure `clients`",
    ),
    D.CLIENT_UNKNOWN: Meaning(
        "the client's name or password for this proxy is missing or wrong",
        "give the proxy's address as http://NAME:PASSWORD@HOST:PORT, as under `clients`",
    ),
    D.CLIENT_TOKEN_REFUSED: Meaning(
        "requests with a token of their own are refused here (`clientTokens: refuse`)",
        "leave sessionToken and keyManagerToken out",
    ),
    D.CROSS_SITE: Meaning("a web page of another site sent it", "call from a program"),
    D.NOT_GRANTED: Meaning(
        "the client may not be this bot or user, or its port or placeholder means another bot",
        "see `bots` and `onBehalfOf` of the client, and `listen` of the bot",
    ),
    D.UNKNOWN_BOT: Meaning(
        "nothing tells which bot is meant, or there is none of that name",
        "send the header Symphony-Bot with a configured username",
    ),
    D.NO_APP: Meaning(
        "calls on behalf of users need an extension app, and none is configured",
        "configure `app` with its id and private key",
    ),
    D.PLACEHOLDER_EXPIRED: Meaning(
        "the placeholder is too old, or from another proxy",
        "none needed, SDKs log in again; replicas need the same placeholder.key",
    ),
    D.PLACEHOLDER_WORTHLESS: Meaning(
        "what stands for a token, or for a login, is worth nothing to Symphony",
        "turn `commonJwt` off in the bot; `symphony-auth-proxy flush` logs in anew",
    ),
    D.CONFIGURATION: Meaning(
        "the proxy has no configuration that it can use",
        "its message lists what is wrong: correct that, then start or reload",
    ),
    D.INTERNAL: Meaning("the proxy itself failed", "please report it, with the line in its log"),
    D.DRAINING: Meaning(
        "the proxy is stopping, or was just given another configuration", "send it again"
    ),
}

_ANSWERS = {
    D.TOKEN_REFUSED: Meaning(
        "Symphony refuses the bot's tokens, fresh ones too",
        "do `host`, `agent` and `keyManager` belong to one pod, is the account active, was its "
        "key revoked?",
    ),
    D.TOKEN_REFUSED_NOT_RESENT: Meaning(
        "Symphony refused the tokens, and this body was too large to be kept for a second attempt",
        "send it again: new tokens are fetched in the meantime",
    ),
    D.CLIENT_TOKEN_DEAD: Meaning(
        "Symphony refuses the token that the client brought",
        "let the client log in again, or leave its token out to get the bot's",
    ),
    D.LOGIN_OF_CLIENT_REFUSED: Meaning(
        "Symphony refuses a login that the client made itself",
        "check the client's username and key; with `answerLogins` a bot needs no valid key",
    ),
    D.TOKEN_MISSING: Meaning(
        "Symphony wants a token for this call, and it got none here",
        "`symphony-auth-proxy explain URL` says why; check path and `context`",
    ),
    D.NOT_ENTITLED: Meaning(
        "the tokens are good, but the account may not do this",
        "give the account the role, entitlement or membership that the answer names",
    ),
    D.GATEWAY_REFUSED: Meaning(
        "a gateway or firewall before Symphony refused it, not Symphony itself",
        "ask its operators; what it wants of logins goes into `defaultHeaders`, of calls into "
        "the client",
    ),
    D.GATEWAY_UNAVAILABLE: Meaning(
        "a gateway answers that what is behind it does not",
        "try again; if it stays, ask its operators",
    ),
    D.SYMPHONY_UNAVAILABLE: Meaning(
        "Symphony itself says that it is unavailable", "try again, after Retry-After if it says so"
    ),
    D.WRONG_COMPONENT: Meaning(
        "what answers there does not know this path: another component, or no Symphony",
        "/agent belongs to `agent`, everything else to `pod`: check host, port and `context`",
    ),
}

_LOGINS = {
    D.LOGIN_REJECTED: Meaning(
        "the pod or the key manager refused the login",
        "check account, username and key; `symphony-auth-proxy login` shows the answer",
    ),
    D.KEY_NOT_ACCEPTED: Meaning(
        "the assertion is not accepted (401): unknown or inactive account, or another public key",
        "`username` is the account's, not its e-mail or id; import the public half of this very "
        "key there",
    ),
    D.CERTIFICATE_NOT_ACCEPTED: Meaning(
        "the client certificate is not accepted (401)",
        "its CN must be the username, and its issuer be uploaded and trusted in the Admin portal",
    ),
    D.ACCOUNT_NOT_ALLOWED: Meaning(
        "the account may not log in, or not in this way (403)",
        "activate it, allow certificate authentication, and look for an app of the same name "
        "with a certificate",
    ),
    D.APP_NOT_ACCEPTED: Meaning(
        "the extension app's login is refused",
        "`app.appId` is its id without a colon; enable it in the pod, import the public half of "
        "this very key",
    ),
    D.USER_NOT_ACCEPTED: Meaning(
        "the app gets no session of this user",
        "does the user exist, active, and is the app enabled for it in the Admin portal?",
    ),
    D.CLOCK_SKEW: Meaning(
        "the login is refused, and this machine's clock differs from the server's",
        "set the clock (NTP): an assertion is good for 5 minutes at most",
    ),
    D.LOGIN_UNAVAILABLE: Meaning(
        "no login can be had now, which says nothing about the credentials",
        "wait: it is tried again by itself; the message says what stands in the way",
    ),
    D.LOGIN_PROTOCOL: Meaning(
        "the login's answer is not one of Symphony's",
        "check host, port and `context`; something in between may change answers",
    ),
    D.KEY_MANAGER_UNAVAILABLE: Meaning(
        "the key manager does not answer: agent calls wait for it, pod calls go on",
        "check `keyManager` and its service; it is asked again by itself",
    ),
    D.KEY_MANAGER_NOT_REGISTERED: Meaning(
        "the key manager is not registered in the pod, as while that is under maintenance",
        "wait: it is asked again by itself; if it stays, ask the key manager's operators",
    ),
    D.KEY_DELIVERY_INCOMPLETE: Meaning(
        "Simplified Key Delivery is on in the pod, but the agent is older than 24.12 or hides its "
        "version, and the key manager gives no token",
        "upgrade the agent to 24.12 and let /agent/v1/info through, or configure a `keyManager` "
        "that works",
    ),
    D.WRONG_ENDPOINT: Meaning(
        "what answers there does not serve this login",
        "check host, port and `context` of `pod`, `keyManager` and `sessionAuth`",
    ),
    D.WRONG_PORT: Meaning(
        "certificate logins are not served at this host and port",
        "set `sessionAuth` and `keyManager` to port 8444, or to the pod's -api host, port 443",
    ),
    D.NOT_SYMPHONY: Meaning(
        "something else than Symphony answers there, as a web page",
        "check host, port and `context`; a portal or gateway may be in between",
    ),
    D.TOKENS_REFUSED: Meaning(
        "Symphony refuses the tokens that it has just given",
        "do `host`, `agent` and `keyManager` belong to one pod? New ones are fetched after a pause",
    ),
    D.KEY_MATERIAL: Meaning(
        "a key or certificate cannot be used", "the message names the file and what is wrong"
    ),
    D.KEY_FILE: Meaning(
        "the file of a key or certificate cannot be read",
        "correct its path; a relative one starts at the configuration file",
    ),
    D.KEY_FORMAT: Meaning(
        "the file holds no usable RSA key or certificate",
        "PEM (PKCS#1 or PKCS#8) or PKCS#12; the message has the command that converts it",
    ),
    D.KEY_PASSWORD: Meaning(
        "the password of a key or PKCS#12 file is missing or wrong",
        "correct `passwordFile` or `password`",
    ),
    D.KEY_LENGTH: Meaning(
        "the RSA key has fewer than 2048 bits",
        "`symphony-auth-proxy keys rsa` makes one of 4096; import its public half",
    ),
    D.KEY_PERMISSIONS: Meaning(
        "the key's file may not be read by this user, or may be by every user",
        "make it the proxy's user's own, mode 600",
    ),
    D.BOT_CERTIFICATE_EXPIRED: Meaning(
        "the bot's certificate has expired, or soon will",
        "have a new one signed; `symphony-auth-proxy keys csr` makes the request",
    ),
    D.BOT_CERTIFICATE_NOT_YET_VALID: Meaning(
        "the bot's certificate is not valid yet", "check this machine's clock; else wait"
    ),
    D.BOT_CERTIFICATE_NAME: Meaning(
        "the certificate's CN is not the bot's username, letter case included",
        "correct `username`, or have a certificate signed whose CN it is",
    ),
}

_WAYS = {
    D.DNS: Meaning(
        "the host's name cannot be resolved",
        "check its spelling and this machine's DNS; where only a proxy knows outside names, "
        "configure `proxy`",
    ),
    D.REFUSED: Meaning(
        "the connection is refused: nothing listens there, or a firewall says no",
        "check host and port",
    ),
    D.NO_ROUTE: Meaning(
        "there is no route to the host",
        "check this machine's network; where only a proxy leads outside, configure `proxy`",
    ),
    D.CONNECT_TIMEOUT: Meaning(
        "no connection in time: a firewall probably drops it",
        "have it opened; where 8444 is blocked, take the pod's -api host, port 443",
    ),
    D.CONNECT_FAILED: Meaning(
        "no connection could be made", "check host, port and this machine's network"
    ),
    D.ADDRESS_REFUSED: Meaning(
        "the name leads to a link-local or metadata address or to the proxy itself, where nothing "
        "is sent",
        "check the host, and what DNS says about it",
    ),
    D.PROXY_UNREACHABLE: Meaning(
        "the corporate proxy cannot be reached", "check host and port of `proxy`"
    ),
    D.PROXY_CREDENTIALS: Meaning(
        "the corporate proxy wants other credentials (407)",
        "check `proxy.username` and `proxy.password`; for NTLM and Kerberos use a helper such as "
        "cntlm",
    ),
    D.PROXY_REFUSED: Meaning(
        "the corporate proxy gives no tunnel to this host and port",
        "have CONNECT to it allowed, or set `proxy: null` for a component that is reached directly",
    ),
    D.TLS_TIMEOUT: Meaning(
        "the TLS handshake was not finished in time",
        "check the port; a device that inspects TLS may be in between",
    ),
    D.TLS_FAILED: Meaning(
        "the TLS handshake failed",
        "the host must offer TLS 1.2 or newer; a device that inspects TLS may be in between",
    ),
    D.NOT_TLS: Meaning("no TLS is spoken there", "check the port: Symphony is https only"),
    D.CERTIFICATE_UNTRUSTED: Meaning(
        "the host's certificate comes from a CA that is not trusted here",
        "add that CA, or the one of a device that inspects TLS, as PEM to `ssl.trustStore.path`",
    ),
    D.CERTIFICATE_EXPIRED: Meaning(
        "the host's certificate has expired, or is not valid yet",
        "check this machine's clock; if it is right, the host's operators must renew it",
    ),
    D.CERTIFICATE_NAME: Meaning(
        "the host's certificate is for another name",
        "write the host as its certificate has it; DNS or a device may lead elsewhere",
    ),
    D.CLIENT_CERTIFICATE: Meaning(
        "the host wants a client certificate, or does not accept the one shown",
        "RSA logins and calls go to port 443 of pod and agent; else have its CA uploaded in the "
        "Admin portal",
    ),
    D.READ_TIMEOUT: Meaning(
        "the host is reachable, but did not answer in time", "wait: it is tried again by itself"
    ),
    D.CLOSED: Meaning(
        "the connection was closed before the answer was whole",
        "try again; if it stays, look at the server, and at what is in between",
    ),
    D.NOT_HTTP: Meaning("what answers there is not HTTP", "check host and port"),
    D.UPSTREAM_UNREACHABLE: Meaning(
        "Symphony cannot be reached", "check host, port, network and corporate proxy"
    ),
    D.UPSTREAM_CERTIFICATE: Meaning(
        "the host's certificate is not accepted", "see `ssl.trustStore`, and the host's name"
    ),
    D.UPSTREAM_BROKEN: Meaning(
        "the answer broke off, or is no valid HTTP",
        "try again; if it stays, look at the server and its gateway",
    ),
    D.INSECURE_UPSTREAM: Meaning(
        "the connection is not the one that was decided on, so nothing was sent",
        "look for another addon or option that redirects or rewrites requests",
    ),
    D.CA_NOT_TRUSTED_HERE: Meaning(
        "a runtime on this machine does not trust the proxy's CA",
        "start programs by `symphony-auth-proxy run`, or import what "
        "`symphony-auth-proxy ca export` writes",
    ),
    D.CA_EXPIRES: Meaning(
        "the proxy's own CA has expired, or soon will",
        "`symphony-auth-proxy ca rotate`, then give the new one to all clients",
    ),
}

MEANINGS: Mapping[D, Meaning] = _REQUESTS | _ANSWERS | _LOGINS | _WAYS
