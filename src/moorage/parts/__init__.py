"""Protections, such as a circuit breaker, that can be used one at a time, without a hub.

Each wraps a synchronous or an asynchronous function, by a call or as a decorator; where a `with`
body makes sense, a part is a guard too. They use the flows and the wiring, and not the managers.
"""
