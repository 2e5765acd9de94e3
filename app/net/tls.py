"""TLS contexts of clients."""

import ssl


def tls_context(*protocols: str) -> ssl.SSLContext:
    """Create a context that offers `protocols` by ALPN and trusts what the system trusts."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(protocols)
    return context
