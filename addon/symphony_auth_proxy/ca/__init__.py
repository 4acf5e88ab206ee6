"""The proxy's own CA, and the trust stores of the programs that use the proxy."""
