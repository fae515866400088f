"""Vendors that run language models, one module for each."""
