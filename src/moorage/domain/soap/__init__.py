"""SOAP: locations of WSDL documents, WS-Security headers, and the meaning of faults."""
