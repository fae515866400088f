"""The execution of flows, with an event loop or without one."""
