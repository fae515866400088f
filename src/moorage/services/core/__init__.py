"""The ports that flows use, and what all flows share."""
