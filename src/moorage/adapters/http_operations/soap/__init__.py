"""SOAP services: zeep reads their WSDL and builds their envelopes.

zeep opens no connection here. Documents are loaded by moorage, and requests are operations that a
manager performs.
"""
