"""requests: HTTPS_PROXY and REQUESTS_CA_BUNDLE."""

import json
import sys

import requests

pod, agent = sys.argv[1:]
with requests.Session() as session:
    info = session.get(f"{pod}/pod/v2/sessioninfo", timeout=20)
    echo = session.post(f"{agent}/agent/v1/util/echo", json={"message": "hello"}, timeout=20)
print(json.dumps([info.status_code, info.json(), echo.status_code, echo.json()]))
