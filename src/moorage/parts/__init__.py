"""Protections, such as a circuit breaker, that can be used one at a time, without a hub.

Each part wraps a synchronous or an asynchronous function, by a call or as a decorator. Most parts
can also guard a `with` block. The parts use the flows and the wiring, but not the managers.
"""
