"""Text: counted, replaced, named and searched, in time that grows with its length only."""

from typing import Any

import pytest

from domain.helpers.errors import HelperError
from domain.helpers.text import (
    TextReplacement,
    TextStats,
    text_extract,
    text_replace,
    text_slug,
    text_stats,
)


def test_a_text_is_counted():
    stats = text_stats("Hallo Welt! Hallo,\nwie geht's?\n\nGrüße")

    assert stats == TextStats(
        characters=37,
        size_bytes=39,
        words=6,
        unique_words=5,
        sentences=3,
        lines=4,
        paragraphs=2,
    )


@pytest.mark.parametrize("text", ["", "   \n ", "...", "?!"])
def test_a_text_without_words_has_no_sentences(text: str):
    stats = text_stats(text)

    assert (stats.words, stats.sentences) == (0, 0)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("a.b.c", ".", "-"), TextReplacement(text="a-b-c", replacements=2)),
        (("aaa", "aa", "b"), TextReplacement(text="ba", replacements=1)),
        (("abc", "x", "y"), TextReplacement(text="abc", replacements=0)),
        ((r"a\1", r"\1", r"\g<0>"), TextReplacement(text=r"a\g<0>", replacements=1)),
    ],
)
def test_a_literal_text_is_replaced(arguments: tuple[str, str, str], expected: TextReplacement):
    assert text_replace(*arguments) == expected


def test_case_is_ignored_without_losing_the_place_of_letters_that_change_length():
    replaced = text_replace("İx SPAM spam Spam", "spam", "egg", ignore_case=True, limit=2)

    assert replaced == TextReplacement(text="İx egg egg Spam", replacements=2)


def test_a_replacement_that_would_blow_the_text_up_is_refused():
    with pytest.raises(HelperError, match="the new text would have 1000000000 characters"):
        text_replace("a" * 100_000, "a", "b" * 10_000)


@pytest.mark.parametrize(
    ("text", "options", "slug"),
    [
        ("Straße nach Łódź & Orléans!", {}, "strasse-nach-lodz-orleans"),
        ("  One_Two  ", {"separator": "_"}, "one_two"),
        ("Привет, мир", {"alphabet": "unicode"}, "привет-мир"),
        ("alpha beta", {"limit": 6}, "alpha"),
    ],
)
def test_a_slug_is_made_of_the_words(text: str, options: dict[str, Any], slug: str):
    assert text_slug(text, **options) == slug


def test_a_text_that_leaves_no_slug_is_refused_with_the_way_out():
    with pytest.raises(HelperError, match="set alphabet to unicode"):
        text_slug("Привет")


@pytest.mark.parametrize(
    ("kind", "text", "matches"),
    [
        ("emails", "Ask a.b+c@mail.example.org, not @x or y@z.", ["a.b+c@mail.example.org"]),
        (
            "urls",
            "See https://e.org/a_(b)?q=1. And (http://f.org/x), http://e.org",
            ["https://e.org/a_(b)?q=1", "http://f.org/x", "http://e.org"],
        ),
        (
            "numbers",
            "1,2,3 cost 1,234.50 or -7; 1,2345 and v1.2",
            ["1", "2", "3", "1,234.50", "-7", "2345"],
        ),
        ("dates", "2026-02-28, 2026-13-01 and 12026-01-01", ["2026-02-28"]),
        ("hashtags", "#one a#two ##three #vier_4", ["#one", "#vier_4"]),
        ("mentions", "@ada. and mail@x.org", ["@ada"]),
        ("ip_addresses", "10.0.0.1, 256.1.1.1, 1.2.3.4.5", ["10.0.0.1"]),
    ],
)
def test_things_are_taken_out_of_a_text(kind: Any, text: str, matches: list[str]):
    assert text_extract(text, kind).matches == matches


def test_equal_matches_are_listed_once_unless_asked_and_cut_at_the_limit():
    assert text_extract("1 1 2 3", "numbers").matches == ["1", "2", "3"]
    assert text_extract("1 1 2 3", "numbers", unique=False).matches == ["1", "1", "2", "3"]

    cut = text_extract("1 1 2 3", "numbers", limit=2)

    assert (cut.matches, cut.truncated) == (["1", "2"], True)


@pytest.mark.parametrize(
    "sign", ["a", "a@", "a.", "1", "1,", "1.", "#", "@a", "http://", ")", "-", "a-", "111,", "1.1."]
)
def test_no_repeated_sign_makes_a_search_endless(sign: str):
    text = (sign * 500_000)[:500_000]

    for kind in ("emails", "urls", "numbers", "dates", "hashtags", "mentions", "ip_addresses"):
        assert len(text_extract(text, kind).matches) <= 100
    assert text_stats("." * 499_999 + "x").sentences == 1
