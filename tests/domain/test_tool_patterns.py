"""Patterns of tool names: what fits, and which pattern covers which."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.tools.patterns import cover, fits, is_exact, named

PATTERNS = st.text("ab._*?", min_size=1, max_size=6)
NAMES = ["".join(letters) for size in range(1, 6) for letters in product("ab_", repeat=size)]


@pytest.mark.parametrize(
    ("patterns", "fitting"),
    [
        (["mail_send"], ["mail_send"]),
        (["mail.send"], ["mail_send"]),
        (["mail_*"], ["mail_send", "mail_read"]),
        (["mail.*"], ["mail_send", "mail_read"]),
        (["*"], ["mail_send", "mail_read", "exec"]),
        (["exe?", "*_read"], ["mail_read", "exec"]),
        (["MAIL.*", "mail"], []),
        ([], []),
    ],
)
def test_names_fit_patterns(patterns: list[str], fitting: list[str]):
    found = [name for name in ("mail_send", "mail_read", "exec") if fits(name, patterns)]

    assert found == fitting


def test_a_tool_is_named_by_its_name_and_by_no_wildcard():
    assert named("exec_python", ["note", "exec.python"])
    assert not named("exec_python", ["exec_*", "*"])


def test_a_name_without_wildcards_is_exact():
    assert is_exact("mail.send")
    assert not is_exact("mail.*")
    assert not is_exact("mai?.send")


@pytest.mark.parametrize(
    ("wider", "narrower", "covered"),
    [
        (["*"], ["mail.*", "exec", "?"], True),
        (["mail.*"], ["mail.send", "mail.*.now", "mail.??"], True),
        (["mail.*"], ["mail*"], False),
        (["mail.*"], ["mail_send"], True),
        (["*?"], ["?*", "a*"], True),
        (["a*b*c"], ["a?b*b?c"], True),
        (["??"], ["?", "a*"], False),
        (["a", "b"], ["b", "a"], True),
        (["a"], ["a", "b"], False),
        ([], ["a"], False),
    ],
)
def test_wider_patterns_cover_narrower_ones(wider: list[str], narrower: list[str], covered: bool):
    assert cover(wider, narrower) is covered


@given(PATTERNS, PATTERNS)
def test_what_is_covered_fits_and_everything_covers_itself(wider: str, narrower: str):
    assert cover([narrower], [narrower])
    if cover([wider], [narrower]):
        assert all(fits(name, [wider]) for name in NAMES if fits(name, [narrower]))
