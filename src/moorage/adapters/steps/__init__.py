"""Platforms that run steps, which are batch programs, and logs of their output."""
