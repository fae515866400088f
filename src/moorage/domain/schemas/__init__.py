"""Schemas of records: their values, Confluent's wire format, and the rules of evolution.

Nothing in this folder decodes a record. It compares schemas, which are strings, and knows neither a
registry nor a library of a format.
"""
