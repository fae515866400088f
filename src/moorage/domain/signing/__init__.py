"""Request signing: proof that the sender holds a key, without sending the key.

Each scheme is a value that says what is signed and where the signature goes. It reads no clock and
draws no random number: time and nonce come with the `Occasion`.
"""
