"""Fakes: time, randomness, networks and servers."""
