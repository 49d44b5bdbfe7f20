"""Every file keeps the rules of the house, and every rule can fail."""

from collections.abc import Sequence
from itertools import chain

import pytest

from tests.rules.source import (
    CLOCK_READERS,
    ROOT,
    Rule,
    SourceFile,
    asks_the_clock_port,
    catches_all_only_with_a_reason,
    has_short_functions,
    leaves_the_environment_alone,
    names_no_place,
    never_sleeps_to_wait,
    prints_nothing,
    project_files,
    says_what_it_is_for,
    stays_small,
)

TRIED = "try:\n    f()\n"
LONG = "def f():\n" + "    x = 1\n" * 60

# Texts for the rules to judge, none of which runs: what each rule must find.
BREAKS: Sequence[tuple[Rule, str, str]] = [
    (stays_small, "tests/test_a.py", "x = 1\n" * 401),
    (stays_small, "docs/clients/typescript/a.ts", "let x = 1\n" * 401),
    (has_short_functions, "domain/a.py", LONG),
    (
        has_short_functions,
        "domain/a.py",
        f"class A:\n    async {LONG.replace(chr(10), chr(10) + '    ')}",
    ),
    (leaves_the_environment_alone, "app/a.py", "import os\nx = os.environ['A']\n"),
    (leaves_the_environment_alone, "domain/a.py", "import os\nx = os.getenv('A')\n"),
    (leaves_the_environment_alone, "workers/a.py", "from os import environ\n"),
    # A sleep that the rule must find, as text.
    (never_sleeps_to_wait, "tests/test_a.py", "import time\ntime.sleep(1)\n"),
    (never_sleeps_to_wait, "tests/test_a.py", "async def f():\n    await asyncio.sleep(0.1)\n"),
    (asks_the_clock_port, "domain/a.py", "import time\nx = time.time()\n"),
    (asks_the_clock_port, "app/a.py", "x = datetime.now(UTC)\n"),
    (asks_the_clock_port, "app/a.py", "x = datetime.datetime.now()\n"),
    (prints_nothing, "domain/a.py", "print('x')\n"),
    (says_what_it_is_for, "app/a.py", "x = 1\n"),
    (says_what_it_is_for, "app/a.py", '"""Half a sentence"""\n'),
    (catches_all_only_with_a_reason, "app/a.py", TRIED + "except Exception:\n    pass\n"),
    (
        catches_all_only_with_a_reason,
        "app/a.py",
        TRIED + "except Exception:  # noqa: BLE001, S110\n    pass\n",
    ),
    (catches_all_only_with_a_reason, "app/a.py", TRIED + "except BaseException:\n    pass\n"),
    (catches_all_only_with_a_reason, "app/a.py", TRIED + "except:\n    pass\n"),
    (names_no_place, "docs/a.md", "see /" + "home/ann/gob\n"),
    (names_no_place, "docs/a.md", "in /" + "root/gob\n"),
    (names_no_place, "ops/a.txt", "https://" + "pyp" + "i.org/simple\n"),
]

# The same, of what each rule must let pass.
KEEPS: Sequence[tuple[Rule, str, str]] = [
    (stays_small, "tests/test_a.py", "x = 1\n" * 400),
    (has_short_functions, "domain/a.py", "def f():\n" + "    x = 1\n" * 59),
    (has_short_functions, "tests/test_a.py", LONG),
    (leaves_the_environment_alone, "app/settings.py", "import os\nx = os.environ['A']\n"),
    (leaves_the_environment_alone, "tests/a.py", "import os\nx = os.environ['A']\n"),
    (never_sleeps_to_wait, "tests/test_a.py", "async def f():\n    await asyncio.sleep(0)\n"),
    # A sleep outside the tests, as text: loops of the product may pause.
    (never_sleeps_to_wait, "domain/a.py", "async def f():\n    await asyncio.sleep(1)\n"),
    (asks_the_clock_port, "app/adapters/clock.py", "x = time.time()\n"),
    (asks_the_clock_port, "domain/a.py", "x = time.monotonic()\n"),
    (prints_nothing, "app/cli/a.py", "print('x')\n"),
    (says_what_it_is_for, "app/a.py", '"""What it is for.\n\nMore"""\n'),
    (
        catches_all_only_with_a_reason,
        "app/a.py",
        TRIED + "except Exception:  # noqa: BLE001 the outermost edge of a job\n    pass\n",
    ),
    (catches_all_only_with_a_reason, "app/a.py", TRIED + "except BaseException:\n    raise\n"),
    (names_no_place, "docs/a.md", "POST /api/v1/runs, /work-items, app/home/a\n"),
]

RULES = list(dict.fromkeys(rule for rule, _, _ in BREAKS))


def name_of(value: object) -> str:
    return getattr(value, "__name__", "")


@pytest.fixture(scope="module")
def files() -> Sequence[SourceFile]:
    return project_files()


@pytest.mark.parametrize("rule", RULES, ids=name_of)
def test_every_file_keeps_the_rule(rule: Rule, files: Sequence[SourceFile]):
    broken = list(chain.from_iterable(rule(file) for file in files))

    assert broken == [], "\n".join(broken)


@pytest.mark.parametrize(("rule", "path", "text"), BREAKS, ids=name_of)
def test_a_file_that_breaks_the_rule_is_found(rule: Rule, path: str, text: str):
    assert len(list(rule(SourceFile(path=path, text=text)))) == 1


@pytest.mark.parametrize(("rule", "path", "text"), KEEPS, ids=name_of)
def test_a_file_that_keeps_the_rule_is_left_alone(rule: Rule, path: str, text: str):
    assert list(rule(SourceFile(path=path, text=text))) == []


def test_every_exception_to_the_clock_rule_still_exists():
    assert [path for path in CLOCK_READERS if not (ROOT / path).is_file()] == []
