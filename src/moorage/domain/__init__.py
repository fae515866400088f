"""The domain: values, and pure functions that make moorage's decisions.

This package has the immutable values that describe a call, and the functions that decide about it:
`(state, input, now) -> (state, answer)`. The functions use no clock, randomness, thread, event
loop, logger, socket or environment; their callers pass in everything they need. The package imports
only itself and the errors, never a port, a flow or an adapter.
"""
