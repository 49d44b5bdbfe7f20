"""Whom HTTPS connections of ours trust."""

import ssl

import httpx


def trust_for(address: str) -> ssl.SSLContext | bool:
    """What a client of this address verifies servers with; plain HTTP reads no certificates.

    Trusted are the authorities that come with the HTTP library and those of this machine:
    OpenSSL's own store, or what SSL_CERT_FILE and SSL_CERT_DIR name in its place.
    """
    if not address.lower().startswith("https:"):
        return False
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return context
