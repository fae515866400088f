"""Conformance kits for adapters and vendors."""
