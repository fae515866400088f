"""Values and pure decisions.

Here live the immutable values that describe a call and the functions that decide about it: `(state,
input, now) -> (state, answer)`. They touch nothing: no clock, randomness, thread, event loop,
logger, socket or environment; whatever they need is handed in. They know the errors and each other,
and never a port, a flow or an adapter.
"""
