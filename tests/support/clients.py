"""HTTP clients that use the proxy and trust its CA."""

from __future__ import annotations

import ssl

import httpx

from support.proxy import Proxy


def trust_of(proxy: Proxy) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(proxy.ca))


def client_of(proxy: Proxy, *, http1: bool = True, http2: bool = False) -> httpx.Client:
    return httpx.Client(
        proxy=proxy.url,
        verify=trust_of(proxy),
        trust_env=False,
        timeout=30,
        http1=http1,
        http2=http2,
    )
