"""Connections to servers: names, TLS, proxies and pools."""
