"""Conformance kits: checks that every adapter or vendor must pass."""
