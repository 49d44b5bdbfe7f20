"""Encodings: digests by their published values, Base64 there and back."""

from typing import Any

import pytest

from domain.helpers.encodings import base64_decode, base64_encode, hash_text
from domain.helpers.errors import HelperError


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        ("sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("sha3_256", "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"),
        ("sha1", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        ("md5", "900150983cd24fb0d6963f7d28e17f72"),
    ],
)
def test_abc_has_its_published_digest(algorithm: Any, digest: str):
    assert hash_text("abc", algorithm=algorithm) == digest


def test_base64_has_both_alphabets():
    assert base64_encode("ü??>") == "w7w/Pz4="
    assert base64_encode("ü??>", url_safe=True) == "w7w_Pz4"


@pytest.mark.parametrize("encoded", ["w7w/Pz4=", "w7w_Pz4", " w7w/\nPz4= "])
def test_base64_of_both_alphabets_is_decoded(encoded: str):
    assert base64_decode(encoded) == "ü??>"


@pytest.mark.parametrize("encoded", ["a", "a*b=", "w7w=Pz4", "ü"])
def test_what_is_no_base64_is_refused(encoded: str):
    with pytest.raises(HelperError, match="encoded: is no Base64"):
        base64_decode(encoded)


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(HelperError, match="its 2 bytes are no UTF-8 text"):
        base64_decode("//4=")
