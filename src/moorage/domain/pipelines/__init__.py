"""The values and decisions of pipelines, which move records from a source to a sink.

Nothing in this folder knows a clock, a task or a broker: times come in as numbers.
"""
