"""Request signing: proof that the sender has a key, without sending the key.

Each scheme is a value that describes the signed text and the place of the signature. Schemes read
no clock and draw no random number: time and nonce come with the `SigningContext`.
"""
