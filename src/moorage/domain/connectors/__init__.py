"""Connectors of systems that are not HTTP APIs: their health and connection pools."""
