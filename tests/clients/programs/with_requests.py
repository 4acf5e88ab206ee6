"""requests: HTTPS_PROXY and REQUESTS_CA_BUNDLE."""

import json
import sys

import requests

pod, agent = sys.argv[1:]
with requests.Session() as session:
    info = session.get(f"{pod}/pod/v2/sessioninfo", timeout=20).json()
    answer = session.post(f"{agent}/agent/v1/util/echo", json={"message": "hello"}, timeout=20)
http = f"{answer.raw.version / 10}"
seen = {"version": requests.__version__, "http": http, "info": info, "echo": answer.json()}
print(json.dumps(seen))
