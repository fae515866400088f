"""Connections and transactions in databases, for all adapters that keep something there."""
