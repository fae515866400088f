"""Secrets: their type, and their removal from texts."""
