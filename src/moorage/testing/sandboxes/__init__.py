"""Local sandboxes that imitate vendors: strict, stateful, with faults on demand.

Each vendor has a file. Its sandbox responds to requests as the vendor does, refuses what the vendor
refuses, and stores the effects of requests. A program reaches it in memory by `SandboxHttpClient`,
or over a socket with `serving()`.
"""
