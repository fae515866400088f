"""Fakes, virtual time and conformance kits: for our own tests, and for users' own adapters."""
