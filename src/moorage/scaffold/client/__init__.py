"""Generates the packages of typed clients from OpenAPI and AsyncAPI descriptions.

`schemas` maps schemas to classes, `calls` maps operations and `messages` maps messages to
functions. `layout`, `code` and `message_code` write them as Python; `package` and
`message_package` put the files together. All are pure functions: the same description and options
give the same files.
"""
