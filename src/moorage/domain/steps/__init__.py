"""Steps, which are commands that run elsewhere: their values, their results and their logs."""
