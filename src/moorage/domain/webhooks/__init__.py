"""The verification of webhooks, and the parsing of their events.

A scheme is data: which text is signed, how it is signed, where the signature is, and where an event
has its identity. One small interpreter decides about the raw bytes as they arrived. Nothing here
reads a clock, sends a request or stores anything: the time, certificates and keys are passed in,
and the caller claims deliveries. Whatever the bytes are, the result is events or `WebhookRejected`.
"""
