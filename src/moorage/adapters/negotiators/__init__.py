"""Negotiators, which make tokens for the HTTP authentication scheme "Negotiate"."""
