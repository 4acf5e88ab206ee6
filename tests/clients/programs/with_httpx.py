"""httpx: HTTPS_PROXY and SSL_CERT_FILE. It speaks HTTP/2 as well when told so by arguments.

python with_httpx.py POD AGENT [http2] [nohttp1]
"""

import json
import sys

import httpx

pod, agent, *options = sys.argv[1:]
with httpx.Client(http2="http2" in options, http1="nohttp1" not in options, timeout=20) as client:
    info = client.get(f"{pod}/pod/v2/sessioninfo").json()
    answer = client.post(f"{agent}/agent/v1/util/echo", json={"message": "hello"})
http = answer.http_version.removeprefix("HTTP/")
seen = {"version": httpx.__version__, "http": http, "info": info, "echo": answer.json()}
print(json.dumps(seen))
