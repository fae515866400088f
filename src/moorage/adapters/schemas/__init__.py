"""Schema registries, and codecs that decode and encode records by a schema.

Each library is imported by the module of its format only. Nothing here depends on pipelines.
"""
