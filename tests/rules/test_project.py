"""The project's shape: what lies at the top, what the lock holds, which pages are current."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence

import pytest

from app.settings_page import pages
from tests.rules.source import ROOT, tracked_paths

TOP = {"app", "schema", "resolvers", "domain", "workers", "tests", "docs", "ops"}
TOP |= {"pyproject.toml", "README.md", "Makefile"}
LOCKS = ("runtime", "dev", "providers")
NODE_PROJECTS = ("app/graphql/explorer/build", "docs/clients/typescript", "tests/peers")
_PINNED = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)( ; .+?)?( \\)?")
_HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")


def strangers(paths: Sequence[str]) -> set[str]:
    """What lies at the top and has no business there."""
    tops = {path.partition("/")[0] for path in paths}
    return {top for top in tops if top not in TOP and not top.startswith(".")}


def lock_faults(text: str) -> Iterator[str]:
    """Lines that are neither an exact version nor its hash, and versions without a hash."""
    pinned = ""
    for line in text.splitlines():
        if _HASH.fullmatch(line):
            pinned = ""
            continue
        if pinned:
            yield f"no hash: {pinned}"
        match = _PINNED.fullmatch(line)
        if match is None:
            yield f"odd line: {line}"
        pinned = match["name"] if match else ""
    if pinned:
        yield f"no hash: {pinned}"


def node_lock_faults(text: str) -> Iterator[str]:
    """Packages that have no hash, or whose file is named by an address."""
    for name, package in json.loads(text)["packages"].items():
        if name and "integrity" not in package:
            yield f"no hash: {name}"
        if "resolved" in package:
            yield f"an address: {name}"


def locked_versions(text: str) -> Mapping[str, set[str]]:
    """Versions by normal name; a name may stand several times, one for each platform."""
    versions: dict[str, set[str]] = {}
    for line in text.splitlines():
        if match := _PINNED.fullmatch(line):
            versions.setdefault(normal(match["name"]), set()).add(match["version"])
    return versions


def normal(name: str) -> str:
    """A package name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def required(requirements: Sequence[str]) -> set[str]:
    """Names of the packages that requirement lines ask for."""
    names = (re.match(r"[A-Za-z0-9._-]+", line) for line in requirements)
    return {normal(name[0]) for name in names if name}


@pytest.fixture
def project() -> Mapping[str, list[str]]:
    content = tomllib.loads((ROOT / "pyproject.toml").read_text())
    runtime = content["project"]["dependencies"]
    further = content["project"]["optional-dependencies"]["providers"]
    return {
        "runtime": runtime,
        "dev": runtime + content["dependency-groups"]["dev"],
        "providers": runtime + further,
    }


def lock_text(name: str) -> str:
    return (ROOT / "ops" / "lock" / f"{name}.txt").read_text()


def test_nothing_else_lies_at_the_top():
    assert strangers(tracked_paths()) == set()


def test_a_stranger_at_the_top_is_found():
    assert strangers(["app/a.py", ".ci/run", "src/a.py", "setup.py"]) == {"src", "setup.py"}


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_exact_versions_with_hashes_and_no_address(name: str):
    text = lock_text(name)

    assert list(lock_faults(text)) == []
    assert "://" not in text
    assert "--index-url" not in text
    assert "--find-links" not in text


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a==1 \\\nb==2 \\\n    --hash=sha256:" + "0" * 64, "no hash: a"),
        ("a==1", "no hash: a"),
        ("a>=1", "odd line: a>=1"),
        ("--index-url https://example.com", "odd line: --index-url https://example.com"),
        ("a @ https://example.com/a.whl", "odd line: a @ https://example.com/a.whl"),
        ("a==1 \\\n    --hash=md5:00", "no hash: a"),
    ],
)
def test_a_fault_in_a_lock_is_found(text: str, fault: str):
    assert next(lock_faults(text)) == fault


@pytest.mark.parametrize("folder", NODE_PROJECTS)
def test_a_lock_of_node_packages_holds_hashes_and_no_address(folder: str):
    text = (ROOT / folder / "package-lock.json").read_text()

    assert list(node_lock_faults(text)) == []


def test_a_fault_in_a_lock_of_node_packages_is_found():
    packages = {"": {}, "a": {"integrity": "sha512-0", "resolved": "https://example.com"}, "b": {}}

    faults = list(node_lock_faults(json.dumps({"packages": packages})))

    assert faults == ["an address: a", "no hash: b"]


@pytest.mark.parametrize("folder", NODE_PROJECTS)
def test_a_node_project_names_exact_versions(folder: str):
    wanted = json.loads((ROOT / folder / "package.json").read_text())

    versions = {**wanted["dependencies"], **wanted["devDependencies"]}.values()

    assert [
        version for version in versions if re.fullmatch(r"\d+\.\d+\.\d+", version) is None
    ] == []


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_all_that_the_project_asks_for(name: str, project: Mapping[str, list[str]]):
    missing = required(project[name]) - set(locked_versions(lock_text(name)))

    assert missing == set(), "run `make lock`"


@pytest.mark.parametrize("name", ["dev", "providers"])
def test_what_the_server_needs_has_one_version_in_all_locks(name: str):
    runtime, other = (locked_versions(lock_text(lock)) for lock in ("runtime", name))

    differing = {name for name, versions in runtime.items() if other.get(name) != versions}

    assert differing == set()


def test_tests_run_on_the_providers_that_are_shipped():
    providers, dev = (locked_versions(lock_text(lock)) for lock in ("providers", "dev"))

    differing = {name for name in providers.keys() & dev.keys() if providers[name] != dev[name]}

    assert "pydantic-ai-slim" in providers.keys() & dev.keys()
    assert differing == set()


def test_names_are_compared_as_package_indexes_do():
    assert required(["Foo_Bar.baz[x]>=1; python_version<'4'", "a"]) == {"foo-bar-baz", "a"}


@pytest.mark.parametrize("path", sorted(pages()), ids=str)
def test_a_generated_page_is_current(path: str):
    assert (ROOT / path).read_text() == pages()[path], "run `make docs`"


def test_a_setting_without_words_would_be_seen():
    page = pages()[min(pages())]

    assert "| `PORT` | `8080` | Port to listen on;" in page
