"""Cassettes: recorded exchanges with vendors, which tests replay."""
