"""Verification of webhooks, and the events in them.

A scheme is data: what is signed, how, where the signature is, and where an event has its identity.
One small interpreter decides over the raw bytes as they came. Nothing here reads a clock, fetches
or stores: the time, certificates and keys come in as values, and the caller claims deliveries. For
any bytes, the only result other than events is `WebhookRejected`.
"""
