"""httpx with HTTP/2, which it speaks where proxy and Symphony do.

Not with `http1=False`: through a proxy it then speaks HTTP/2 even if HTTP/1.1 was agreed on.
"""

import json
import sys

import httpx

pod, agent = sys.argv[1:]
with httpx.Client(http2=True, timeout=20) as client:
    info = client.get(f"{pod}/pod/v2/sessioninfo")
    echo = client.post(f"{agent}/agent/v1/util/echo", json={"message": "hello"})
answers = [info.status_code, info.json(), echo.status_code, echo.json()]
print(json.dumps([*answers, echo.http_version]))
