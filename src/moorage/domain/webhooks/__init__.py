"""The verification of webhooks, and the parsing of their events.

A scheme is data: the signed text, the algorithm, the place of the signature, and the place of an
event's identity. One small interpreter decides about the raw bytes that arrived. Nothing here reads
a clock, sends a request or stores anything: the time, certificates and keys are passed in, and the
caller claims deliveries. For any bytes, the result is either events or `WebhookRejected`.
"""
