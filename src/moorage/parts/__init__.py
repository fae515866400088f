"""The parts: one protection at a time, synchronous and asynchronous.

Each wraps a synchronous or an asynchronous function, by a call or as a decorator; where a `with`
body makes sense, a part is a guard too. They know the flows and the wiring, and not the managers.
"""
