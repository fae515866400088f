"""The configuration of a service, and the plans of calls to it."""
