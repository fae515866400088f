"""Flows: the order of the steps of a call, written once for both colours.

A flow is an `async def` that awaits only ports, reached through a `Core`, and other flows. It
decides nothing itself: decisions are the domain's. It knows no clock, thread, event loop or
technology. What it must give back when it is interrupted it hands to plain functions: clean-up
never awaits.
"""
