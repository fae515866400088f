"""Directories of people."""
