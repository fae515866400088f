"""Connectors of HTTP services with named operations, such as OData."""
