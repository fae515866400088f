"""Acme, an example vendor for moorage in a package of its own."""
