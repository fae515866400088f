"""Pools of links; a link is a connection to a foreign system."""
