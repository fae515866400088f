"""Decisions about the state of integrations: health, probes and alerts.

Everything here is a value or a pure function of values; times come in as parameters.
"""
