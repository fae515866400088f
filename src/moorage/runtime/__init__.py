"""How flows run: with an event loop, or without one."""
