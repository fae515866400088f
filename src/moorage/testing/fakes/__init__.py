"""Fakes for tests: clocks, random numbers, networks and servers."""
