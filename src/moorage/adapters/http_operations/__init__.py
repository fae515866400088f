"""Connectors of HTTP services whose operations have names, such as those of OData."""
