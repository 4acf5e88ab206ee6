"""Python's own library: HTTPS_PROXY and SSL_CERT_FILE."""

import json
import sys
import urllib.request

pod, agent = sys.argv[1:]
seen = []
body = json.dumps({"message": "hello"}).encode()
for request in (
    urllib.request.Request(f"{pod}/pod/v2/sessioninfo"),
    urllib.request.Request(
        f"{agent}/agent/v1/util/echo", body, {"Content-Type": "application/json"}
    ),
):
    with urllib.request.urlopen(request, timeout=20) as answer:
        seen += [answer.status, json.load(answer)]
print(json.dumps(seen))
