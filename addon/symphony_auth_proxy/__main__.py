from symphony_auth_proxy.cli import main

main()
