"""The configuration of a service, and the plan of a call."""
