"""Python's own library: HTTPS_PROXY and SSL_CERT_FILE."""

import json
import platform
import sys
import urllib.request

pod, agent = sys.argv[1:]
with urllib.request.urlopen(f"{pod}/pod/v2/sessioninfo", timeout=20) as answer:
    info = json.load(answer)
post = urllib.request.Request(
    f"{agent}/agent/v1/util/echo", b'{"message": "hello"}', {"Content-Type": "application/json"}
)
with urllib.request.urlopen(post, timeout=20) as answer:
    echo, http = json.load(answer), f"{answer.version / 10}"
print(json.dumps({"version": platform.python_version(), "http": http, "info": info, "echo": echo}))
