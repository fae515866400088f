"""The execution of flows (moorage's coroutines), with an event loop or without one."""
