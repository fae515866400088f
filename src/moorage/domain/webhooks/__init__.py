"""Whether a webhook is to be believed, and what it says.

A scheme is data: what is signed, how, where the signature stands, and where an event keeps its
identity. One small interpreter decides over the raw bytes as they came. Nothing here reads a clock,
fetches or remembers: the moment, certificates and keys come in as values, and who claims a delivery
is the flow's business. Whatever the bytes are, the only answer but events is `WebhookRejected`.
"""
