"""Entries of inbox and outbox, and their leases."""
