"""Pipelines, which carry records from a source to a sink in an event loop.

This folder orders the steps: it reads, forms batches, repeats what failed, sets aside what cannot
succeed, and tells the source what is done. What follows from what is decided in
`domain/pipelines`; brokers and files are known to `adapters` alone.
"""
