"""Pipelines, which carry records from a source to a sink in an event loop.

This folder orders the steps: it reads records, forms batches, repeats failed deliveries, stores
hopeless records as dead letters, and commits finished records at the source. The rules for
failures, commits and lanes are in `domain/pipelines`; only `adapters` use brokers and files.
"""
