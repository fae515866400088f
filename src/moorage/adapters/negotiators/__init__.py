"""Negotiators, which make tokens for the authentication scheme Negotiate."""
