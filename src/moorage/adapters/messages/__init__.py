"""Connectors that publish messages to brokers, one broker a module."""
