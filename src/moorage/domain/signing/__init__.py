"""How a request proves that its sender holds a key, without sending the key.

Each way is a value that says what is signed and where the signature goes. It holds no clock and
draws nothing: when, and under which nonce, comes with the `Occasion`.
"""
