"""SOAP services: their WSDL is read, and their envelopes are made, by zeep.

zeep opens no connection here. Documents are loaded by moorage, and requests are operations that a
manager performs.
"""
