"""Flows that read the shared state of services and probe them."""
