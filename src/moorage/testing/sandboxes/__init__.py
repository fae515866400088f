"""Vendors on this machine that behave like the real ones: strict, with state, and faults on demand.

Each is a file of its own. It answers a request as the vendor does, refuses what the vendor refuses,
and keeps what was done to it. It is reached in memory, by `SandboxHttpClient`, or over a socket,
with `serving()`.
"""
