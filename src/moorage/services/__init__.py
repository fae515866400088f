"""Flows: the order of the steps of each operation, written once for both sync and async.

A flow is an `async def` that awaits only other flows and ports, which it reaches through a `Core`.
It decides nothing itself: decisions are pure functions in `domain`. It uses no clock, thread, event
loop or technology directly. Clean-up after an interruption is done by plain functions, which never
await.
"""
