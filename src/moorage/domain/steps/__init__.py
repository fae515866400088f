"""Steps, which are commands that run elsewhere: their settings, their results and their logs."""
