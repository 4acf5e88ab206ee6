"""urllib3: no variables of its own; proxy and CA are arguments."""

import json
import os
import sys

import urllib3

pod, agent = sys.argv[1:]
with urllib3.ProxyManager(os.environ["HTTPS_PROXY"], ca_certs=os.environ["CA"]) as pool:
    info = pool.request("GET", f"{pod}/pod/v2/sessioninfo", timeout=20)
    echo = pool.request("POST", f"{agent}/agent/v1/util/echo", json={"message": "hello"})
print(json.dumps([info.status, info.json(), echo.status, echo.json()]))
