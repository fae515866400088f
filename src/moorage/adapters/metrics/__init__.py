"""Stores of metrics about calls; each store is also an observer."""
