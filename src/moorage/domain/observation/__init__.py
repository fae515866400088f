"""Events and the integration log."""
