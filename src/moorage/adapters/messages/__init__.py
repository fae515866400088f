"""Connectors that publish messages to brokers, with one module for each broker."""
