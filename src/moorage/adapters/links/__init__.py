"""Pools of links, which are connections to one foreign system."""
