"""Stores of tenants' configurations."""
