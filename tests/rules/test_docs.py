"""The pages keep their word: links lead somewhere, commands, settings and operations exist."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import pytest
from graphql import GraphQLEnumType, GraphQLSchema

from app.cli.box import lines_to_paste
from app.middleware.problems import PROBLEM_KINDS
from app.settings import ENV_FILE_KEY
from app.settings_model import known_keys
from app.settings_providers import ALL_KEY_NAMES
from domain.runs.delegate_call import Refusal
from domain.runs.delegation import NOT_DONE
from domain.tools.calls import ToolFailureCode
from tests.rules.docs import (
    Page,
    anchors,
    broken_links,
    invalid_operations,
    make_targets,
    missing_paths,
    pages,
    served_schema,
    tabs,
    unknown_keys,
    unknown_targets,
)
from tests.rules.source import ROOT

EXPLORER_TABS = ROOT / "app" / "graphql" / "explorer" / "build" / "tabs.js"
TABS = 5

# Variables of make, of the tests and of shells in examples, which are no settings.
OTHER_NAMES = {
    ENV_FILE_KEY,
    "ARGS",
    "SSL_CERT_FILE",
    "PYTHON",
    "UPGRADE",
    "GOB_SOAK",
    "PEERS",
    "LOCK",
    "CI",
    "API",
    "KEY",
    "RUN",
    "TASK",
    "PATH",
}


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return served_schema()


@pytest.fixture(scope="module")
def names(schema: GraphQLSchema) -> set[str]:
    """Words in capitals that a page may name."""
    enums = [kind for kind in schema.type_map.values() if isinstance(kind, GraphQLEnumType)]
    return {
        *known_keys(),
        *ALL_KEY_NAMES,
        *OTHER_NAMES,
        *PROBLEM_KINDS,
        *ToolFailureCode,
        *Refusal,
        *NOT_DONE.values(),
        *chain.from_iterable(enum.values for enum in enums),
    }


def found(rule: Callable[[Page], Iterator[str]]) -> str:
    return "\n".join(chain.from_iterable(rule(page) for page in pages()))


def page(text: str) -> Page:
    return Page(path="docs/howto/a.md", text=text)


def test_every_link_leads_somewhere():
    assert found(broken_links) == ""


def test_every_path_in_a_sentence_is_there():
    assert found(missing_paths) == ""


def test_every_make_target_exists():
    known = make_targets((ROOT / "Makefile").read_text())

    assert found(lambda page: unknown_targets(page, known)) == ""


def test_every_setting_exists(names: set[str]):
    assert found(lambda page: unknown_keys(page, names)) == ""


@pytest.mark.parametrize("page", [page for page in pages() if page.operations], ids=str)
def test_every_operation_of_a_page_fits_the_served_schema(page: Page, schema: GraphQLSchema):
    assert list(invalid_operations(page.operations, schema)) == []


def test_every_tab_of_the_explorer_fits_the_served_schema(schema: GraphQLSchema):
    documents = tabs(EXPLORER_TABS.read_text())

    assert len(documents) == TABS
    assert list(invalid_operations(documents, schema)) == []


def test_the_readme_shows_the_lines_that_the_server_prints():
    readme = (ROOT / "README.md").read_text()
    call = lines_to_paste("http://localhost:8080", ROOT / "api-key")[0]

    assert call.replace(str(ROOT), "var") in readme


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("See [a](nowhere.md).", "docs/howto/a.md links to nowhere.md, which is not there"),
        ("![a](../images/no.png)", "docs/howto/a.md links to ../images/no.png, which is not there"),
        ("# B\n[a](#c)", "docs/howto/a.md links to the heading #c, which is not there"),
        (
            "[a](settings.md#no)",
            "docs/howto/a.md links to the heading settings.md#no, which is not there",
        ),
    ],
)
def test_a_broken_link_is_found(text: str, fault: str):
    assert list(broken_links(page(text))) == [fault]


@pytest.mark.parametrize(
    "text",
    ["[a](settings.md)", "[a](settings.md#server)", "# B c\n[a](#b-c)", "[a](https://example.com)"],
)
def test_a_link_that_leads_somewhere_is_left_alone(text: str):
    assert list(broken_links(page(text))) == []


def test_a_heading_inside_code_is_none():
    assert anchors("# A, b `c`\n```sh\n# d\n```\n") == {"a-b-c"}


def test_a_target_that_does_not_exist_is_found():
    text = "`make check` and\n```sh\nmake check && make coffee\n```\nmake tea"

    faults = list(unknown_targets(page(text), make_targets("check: x ## Check\ntea:\n")))

    assert faults == ["docs/howto/a.md says `make coffee`, which the Makefile does not have"]


def test_a_setting_that_does_not_exist_is_found():
    text = "`DB_URI`, `PORT`, `INFO`, `ID!`\n```sh\nHOSTS=a PORT=1 KEY=$(cat a)\n```\nALSO=x"

    faults = list(unknown_keys(page(text), {"PORT", "KEY"}))

    assert faults == [
        f"docs/howto/a.md names {key}, which is no setting" for key in ("DB_URI", "HOSTS")
    ]


def test_a_path_that_is_not_there_is_found():
    text = "`app/settings.py`, `app/nothing.py`, `ops/env/backend.env`, `domain/`, `var/api-key`"

    assert list(missing_paths(page(text))) == [
        "docs/howto/a.md names app/nothing.py, which is not there"
    ]


def test_an_operation_that_the_schema_refuses_is_found(schema: GraphQLSchema):
    text = (
        "```graphql\n{ viewer { scopes } }\n```\n"
        "```graphql\n{ nothing }\n```\n"
        '```sh\ncurl -d \'{"query": "{ viewer { \\"x }"}\'\n```\n'
    )

    faults: Sequence[str] = list(invalid_operations(page(text).operations, schema))

    assert [fault.partition("\n")[0] for fault in faults] == [
        "Cannot query field 'nothing' on type 'Query'.",
        "Syntax Error: Unterminated string.",
    ]
