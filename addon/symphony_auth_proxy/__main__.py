"""`python -m symphony_auth_proxy` is the command `symphony-auth-proxy`."""

from symphony_auth_proxy.cli import main

main()
