"""The ports that flows use, and the code that all flows share."""
