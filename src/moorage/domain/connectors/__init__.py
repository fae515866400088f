"""Connectors of systems that are not HTTP APIs: their health, and the decisions of their pools."""
