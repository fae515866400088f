"""Encryption of stored data."""
