"""Vendors, one per file. Each one builds requests, parses responses and classifies failures.

A vendor uses its contract and values of the domain. It reaches the network only through the wire
that each operation receives, and uses no port and no other vendor.
"""
