"""An authenticating proxy for Symphony bots, as a mitmproxy addon.

The package is used through its command, through `addon/symphony_auth.py` in a stock
mitmproxy tool, or from tests that want a simulated Symphony (`sandbox.Sandbox`).
"""

from symphony_auth_proxy.errors import SymphonyAuthProxyError
from symphony_auth_proxy.secret import Secret

__all__ = ["Secret", "SymphonyAuthProxyError"]
