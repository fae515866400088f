"""Generates the package of a typed client from an OpenAPI description.

`schemas` maps schemas to classes, `calls` maps operations to functions, `layout` and `code` write
both as Python, and `package` puts the files together. All are pure functions: the same description
and options give the same files.
"""
