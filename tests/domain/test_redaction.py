"""Secrets are masked wherever they stand, and what is no secret stays readable."""

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.kernel.redaction import MASK, MAX_DEPTH, TOO_DEEP, Redactor, is_secret_key


@pytest.mark.parametrize(
    "key",
    [
        "authorization",
        "Authorization",
        "Set-Cookie",
        "api_key",
        "openai_api_key",
        "OPENAI_API_KEY",
        "openaiApiKey",
        "X-Auth-Token",
        "accessToken",
        "client_secret",
        "db_password",
        "password_hash",
        "private_key",
        "credentials",
    ],
)
def test_a_key_that_names_a_secret_is_recognised(key: str):
    assert is_secret_key(key)


@pytest.mark.parametrize(
    "key", ["token_count", "input_tokens", "secret_name", "key", "api_key_prefix", "event", "", "_"]
)
def test_a_key_that_only_speaks_of_secrets_is_left_alone(key: str):
    assert not is_secret_key(key)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Authorization: Bearer abc.def-123", f"Authorization: Bearer {MASK}"),
        ("sent bearer abcdef123456 twice", f"sent bearer {MASK} twice"),
        ("Basic dXNlcjpwYXNz", f"Basic {MASK}"),
        ("key gob_AbC12xyzAbC12xyzAbC12 is bad", f"key gob_{MASK} is bad"),
        ("subprotocol gob.bearer.AbC123xyz", f"subprotocol gob.bearer.{MASK}"),
        ("Incorrect API key provided: sk-proj-12345678", f"Incorrect API key provided: sk-{MASK}"),
        ("postgresql://gob:p%40ss@db:5432/gob", f"postgresql://gob:{MASK}@db:5432/gob"),
        ("redis://:hunter2@cache:6379/0", f"redis://:{MASK}@cache:6379/0"),
        ("/graphql?token=abc&x=1", f"/graphql?token={MASK}&x=1"),
        ("OPENAI_API_KEY=abcdef x", f"OPENAI_API_KEY={MASK} x"),
        ('{"password": "two words", "a": 1}', f'{{"password": {MASK}, "a": 1}}'),
        ("{'api_key': 'abc'}", f"{{'api_key': {MASK}}}"),
    ],
)
def test_a_credential_in_a_text_is_masked_by_its_shape(text: str, expected: str):
    assert Redactor().text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "task-12345678 is done",
        "the key gob_AbC12xyz was used",
        "tokens=50 used",
        "http://127.0.0.1:8080/graphql",
        "postgresql://db:5432/gob",
        "the token count: see below",
        "run_0192: started at 2026-01-01T00:00:00Z",
    ],
)
def test_an_ordinary_text_stays_as_it_is(text: str):
    assert Redactor().text(text) == text


def test_a_registered_secret_is_masked_in_every_spelling():
    secret = 'pä"ss w/rd'
    redactor = Redactor([secret])

    seen = redactor.text(f"raw {secret} url {quote(secret, safe='')} json {json.dumps([secret])}")

    assert seen == f'raw {MASK} url {MASK} json ["{MASK}"]'


def test_a_secret_registered_later_is_masked_too():
    redactor = Redactor(["first-one"])

    redactor.register("first-one-longer")

    assert redactor.text("first-one-longer, first-one") == f"{MASK}, {MASK}"


def test_a_value_too_short_to_be_a_secret_hides_nothing():
    redactor = Redactor(["abc", ""])

    assert redactor.text("abc abcd") == "abc abcd"


def test_nested_values_are_masked_and_become_plain_json():
    redactor = Redactor(["hunter22"])

    masked = redactor.fields(
        {
            "headers": {"Cookie": "a=b", "Accept": "x"},
            "items": [("hunter22", 1), {"secret": 7}],
            "raw": b"Bearer abcdef123",
            "error": ValueError("hunter22"),
            "token": None,
            "password": "",
            5: True,
        }  # pyright: ignore[reportArgumentType] keys of any kind come from outside
    )

    assert masked == {
        "headers": {"Cookie": MASK, "Accept": "x"},
        "items": [[MASK, 1], {"secret": MASK}],
        "raw": f"Bearer {MASK}",
        "error": MASK,
        "token": None,
        "password": "",
        "5": True,
    }


def test_a_flat_line_without_secrets_stays_as_it_is():
    line = {"event": "run.finished", "duration_ms": 5, "cost": 0.5, "ok": True, "agent": None}

    assert Redactor(["hunter22"]).fields(line) == line


@pytest.mark.parametrize(
    "line",
    [
        {"event": "x hunter22 y"},
        {"event": "x", "detail": "Bearer abcdef123"},
        {"event": "x", "token": "abc"},
        {"event": "x", "hunter22": 1},
        {1: "hunter22"},
    ],
)
def test_a_flat_line_with_a_secret_is_masked(line: dict[str, object]):
    masked = repr(Redactor(["hunter22"]).fields(line))

    assert MASK in masked
    assert not any(secret in masked for secret in ("hunter22", "abcdef123", "'abc'"))


def test_a_secret_in_a_key_is_masked_too():
    assert Redactor(["hunter22"]).value({"x hunter22": 1}) == {f"x {MASK}": 1}


def test_a_value_nested_without_end_is_cut():
    loop: list[object] = []
    loop.append(loop)

    masked = Redactor().value(loop)

    depth = 0
    while isinstance(masked, list):
        masked = masked[0]
        depth += 1
    assert (masked, depth) == (TOO_DEEP, MAX_DEPTH)


@given(before=st.text(), after=st.text(), secret=st.text(min_size=8, max_size=40))
def test_no_text_around_a_registered_secret_lets_it_through(before: str, after: str, secret: str):
    seen = Redactor([secret]).text(f"{before} {secret} {after}")

    assert secret not in seen or secret in MASK or secret in f"{before} {after} {MASK}"
