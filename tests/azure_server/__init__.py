"""A local Azure: one TLS server that validates the requests of the vendors' clients.

Each service is a `Handler`; `AzureServer` brings handlers, TLS and scripted faults together.
"""
