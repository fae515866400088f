"""Platforms that run steps, and logs that keep their output."""
