"""Sends one request again and again: a program of its own, so that it does not take turns with
what a test runs in its threads.

    posts.py PROXY_PORT URL COUNT CONNECTIONS < body
"""

from __future__ import annotations

import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

_PATIENCE = 60.0


def post(proxy_port: int, request: bytes, count: int) -> None:
    with socket.create_connection(("127.0.0.1", proxy_port), _PATIENCE) as connection:
        answers = connection.makefile("rb")
        for _ in range(count):
            connection.sendall(request)
            status = answers.readline()
            if b" 200 " not in status:
                sys.exit(f"answered with {status!r}")
            length = 0
            while (line := answers.readline()) != b"\r\n":
                name, _, value = line.lower().partition(b":")
                if name == b"content-length":
                    length = int(value)
            if len(answers.read(length)) != length:
                sys.exit("the answer was cut off")


def main() -> None:
    proxy_port, url, count, connections = sys.argv[1:]
    body = sys.stdin.buffer.read()
    head = f"POST {url} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    share, rest = divmod(int(count), int(connections))
    with ThreadPoolExecutor() as pool:
        shares = [share + rest] + [share] * (int(connections) - 1)
        done = [pool.submit(post, int(proxy_port), head.encode() + body, one) for one in shares]
        for one in done:
            one.result()


if __name__ == "__main__":
    main()
