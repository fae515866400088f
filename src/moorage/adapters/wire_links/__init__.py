"""Connections over which moorage speaks a protocol itself."""
