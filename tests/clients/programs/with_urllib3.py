"""urllib3: no variables of its own; proxy, its password and the CA are arguments."""

import json
import os
import sys
from urllib.parse import unquote

import urllib3

pod, agent = sys.argv[1:]
proxy = urllib3.util.parse_url(os.environ["HTTPS_PROXY"])
password = urllib3.make_headers(proxy_basic_auth=unquote(proxy.auth)) if proxy.auth else None
with urllib3.ProxyManager(
    f"http://{proxy.netloc}", proxy_headers=password, ca_certs=os.environ["CA"]
) as pool:
    info = pool.request("GET", f"{pod}/pod/v2/sessioninfo", timeout=20).json()
    answer = pool.request("POST", f"{agent}/agent/v1/util/echo", json={"message": "hello"})
http = f"{answer.version / 10}"
seen = {"version": urllib3.__version__, "http": http, "info": info, "echo": answer.json()}
print(json.dumps(seen))
