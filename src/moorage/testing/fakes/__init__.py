"""Fakes for tests: time, random numbers, networks and servers."""
