"""What people look at, as text: bodies of Symphony's calls made readable, captures made safe.

Everything here is pure: bytes or parsed values come in, text goes out. Nothing is fetched,
read or written, the clock comes in, and mitmproxy is not known. What comes in was written by
anybody, so work is bounded by the size of the input, and a text that cannot be understood is
a ValueError, never another exception.
"""
