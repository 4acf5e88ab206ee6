"""httpx: HTTPS_PROXY and SSL_CERT_FILE."""

import json
import sys

import httpx

pod, agent = sys.argv[1:]
with httpx.Client(timeout=20) as client:
    info = client.get(f"{pod}/pod/v2/sessioninfo")
    echo = client.post(f"{agent}/agent/v1/util/echo", json={"message": "hello"})
print(json.dumps([info.status_code, info.json(), echo.status_code, echo.json()]))
