"""The domain: values, and decisions that are pure functions of them.

This package has the immutable values that describe a call, and the functions that decide about it:
`(state, input, now) -> (state, answer)`. The functions use no clock, randomness, thread, event
loop, logger, socket or environment; their callers pass in everything they need. The package imports
only itself and the errors, never a port, a flow or an adapter.
"""
