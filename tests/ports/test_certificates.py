"""Whom our HTTPS connections trust."""

import ssl
from pathlib import Path

import pytest

from app.adapters.certificates import trust_for

# Signs itself, for a hundred years; its key was thrown away.
HOUSE_AUTHORITY = """
-----BEGIN CERTIFICATE-----
MIIBuzCCAWGgAwIBAgIUUcQrdhZ9ul0WyLpbDq9ZlHxiuJUwCgYIKoZIzj0EAwIw
JDEiMCAGA1UEAwwZSG91c2UgYXV0aG9yaXR5IG9mIGEgdGVzdDAgFw0yNjExMjMw
NDQ2NTBaGA8yMTI2MTAzMDA0NDY1MFowJDEiMCAGA1UEAwwZSG91c2UgYXV0aG9y
aXR5IG9mIGEgdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABAmhL/ZpCP4g
eBRNKVR/TTtJcdEFe94DznbUKPXBKqi4C1FcmJg5+6X4Y8EjvTUMjchhqshIQAEI
CMUxJzd+tgWjbzBtMB0GA1UdDgQWBBT782bVVRUaX/qsg3vlQznhyCNaOTAfBgNV
HSMEGDAWgBT782bVVRUaX/qsg3vlQznhyCNaOTAPBgNVHRMBAf8EBTADAQH/MBoG
A1UdEQQTMBGCCWxvY2FsaG9zdIcEfwAAATAKBggqhkjOPQQDAgNIADBFAiAK28/c
2xuOJv7dCcJY8pfbk9FSvfkqBe9W7duVqM/zIwIhAOPAlhDFth25LGHFvnpK3MqB
PorQbmLQREhDgRCl8Ges
-----END CERTIFICATE-----
"""


def test_the_authority_of_a_house_is_trusted_beside_the_known_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "house.pem"
    file.write_text(HOUSE_AUTHORITY)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))

    context = trust_for("https://models.house.example/v1")

    assert isinstance(context, ssl.SSLContext)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    names = [str(one["subject"]) for one in context.get_ca_certs()]
    assert any("House authority of a test" in name for name in names)
    assert any("ISRG Root X1" in name for name in names)


def test_plain_http_reads_no_certificates():
    assert trust_for("http://localhost:11434") is False
