"""The last check before a request leaves, against the connection that was really made."""

from __future__ import annotations

from dataclasses import dataclass

from mitmproxy import connection, http

from symphony_auth_proxy.core.addresses import forbidden_address
from symphony_auth_proxy.core.decisions import (
    Caller,
    Destination,
    Inject,
    LoginCall,
    PassThrough,
    Request,
)
from symphony_auth_proxy.core.headers import is_token_header
from symphony_auth_proxy.errors import DestinationRefused, Reason, SymphonyAuthProxyError
from symphony_auth_proxy.mitm.failures import refused_address
from symphony_auth_proxy.mitm.state import Active, State
from symphony_auth_proxy.model import Origin

_TLS_VERSIONS = {"TLSv1.2", "TLSv1.3"}


@dataclass(frozen=True, slots=True)
class Permit:
    """The last check, made against the connection that the request is about to enter."""

    state: State
    active: Active
    decision: Inject | PassThrough
    origin: Origin
    caller: Caller

    def __call__(
        self, request: http.Request, server: connection.Server
    ) -> SymphonyAuthProxyError | None:
        """Ask again with the request as it goes out, but for our tokens."""
        place = (self.origin.host, self.origin.port)
        if (request.scheme, request.host, request.port) != ("https", *place):
            return _moved("the request was turned to another place after it was decided")
        if server.address != place or server.sni != self.origin.host or not server.tls_established:
            return _moved("the connection is not the one that was decided on")
        if server not in self.state.verified or server.tls_version not in _TLS_VERSIONS:
            return _moved("the connection is not protected as it must be")
        if server.peername is not None and server.via is None:
            refusal = permit_elsewhere(request, server)
            if refusal is not None:
                return refusal
        again = self.active.routes.decide(
            Destination(*place, "https", authorities=authorities_of(request)),
            Request(request.method, request.path, self._headers(request)),
            self.caller,
        )
        if isinstance(again, LoginCall):  # of somebody who is not ours
            again = again.passing
        if again != self.decision:
            return _moved("the request was changed after it was decided")
        return None

    def _headers(self, request: http.Request) -> list[tuple[str, str]]:
        """The headers to ask with. Ours replace whatever stands under their names."""
        headers = request.headers.items(multi=True)
        given = isinstance(self.decision, Inject)
        return [item for item in headers if not (given and is_token_header(item[0]))]


def authorities_of(request: http.Request) -> tuple[str, ...]:
    """Every place that a request's head names."""
    hosts = request.headers.get_all("host")
    named = request.authority
    return (*hosts, named) if named and named not in hosts else tuple(hosts)


def permit_elsewhere(
    request: http.Request, server: connection.Server
) -> SymphonyAuthProxyError | None:
    if server.peername is not None and forbidden_address(server.peername[0]):
        return refused_address(request.host)
    return None


def _moved(message: str) -> DestinationRefused:
    return DestinationRefused(message, reason=Reason.INSECURE_UPSTREAM, status=502)
