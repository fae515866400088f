"""The contracts as users call them, each in both colours.

A face has no thought of its own: its verbs are the flows'.
"""
