"""Load the addon into any stock mitmproxy tool: `mitmweb -s addon/symphony_auth.py`."""

from symphony_auth_proxy.mitm.addon import SymphonyAuth

addons = [SymphonyAuth()]
