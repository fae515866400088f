"""Connections to databases and transactions, for all adapters that store data there."""
