"""Vendors that give access to bank accounts."""
