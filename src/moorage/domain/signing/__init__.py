"""Request signing: proof that the sender holds a key, without sending the key.

Each scheme is a value that says which text is signed and where the signature goes. Schemes read no
clock and draw no random number: time and nonce come with the `Occasion`.
"""
