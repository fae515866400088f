"""The steps of every operation of a hub, written once for synchronous and asynchronous use.

A flow is an `async def` that awaits only other flows and ports, which it reaches through a `Core`.
A flow makes no decisions: decisions are pure functions in `domain`. A flow does not use a clock,
thread, event loop or technology directly. After an interruption, plain functions clean up, which
never await.
"""
