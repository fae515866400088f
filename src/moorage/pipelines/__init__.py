"""Pipelines, which carry records from a source to a sink in an event loop.

This folder orders the steps: it reads, forms batches, repeats what failed, sets aside what cannot
succeed, and commits records that are done at the source. The rules for failures, commits and lanes
are in `domain/pipelines`; only `adapters` use brokers and files.
"""
