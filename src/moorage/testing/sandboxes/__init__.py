"""Local sandboxes that imitate vendors: strict, with state, and with faults on demand.

Each is a file of its own. It answers a request as the vendor does, refuses what the vendor refuses,
and keeps what was done to it. It is reached in memory, by `SandboxHttpClient`, or over a socket,
with `serving()`.
"""
