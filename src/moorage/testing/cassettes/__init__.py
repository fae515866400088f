"""Cassettes: recorded requests to vendors with their responses, which tests replay."""
