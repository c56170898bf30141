"""Azure on this machine: one TLS server that validates what the vendors' own clients send it.

Each service is a `Handler`; `AzureServer` brings handlers, TLS and scripted faults together.
"""
