"""Generates typed client packages from OpenAPI and AsyncAPI descriptions.

`schemas` maps schemas to classes; `calls` and `messages` map operations and messages to functions.
`layout`, `code` and `message_code` write them as Python; `package` and `message_package` assemble
the files. All are pure functions: the same description and options give the same files.
"""
