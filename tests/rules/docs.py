"""What the pages promise, as the rules see it: links, commands, settings, operations."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from posixpath import normpath

from graphql import GraphQLSchema, GraphQLSyntaxError, build_schema, parse, validate

from tests.rules.source import ROOT, SourceFile, project_files

_FENCE = re.compile(r"^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`(?P<text>[^`\n]+)`")
_LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(?P<title>.+)$", re.MULTILINE)
_TARGET = re.compile(r"^(?P<name>[a-z]+):.*## ", re.MULTILINE)
_MAKE = re.compile(r"(?<![\w.-])make (?P<name>[a-z]+)")
_ASSIGNED = re.compile(r"(?<![\w${-])(?P<key>[A-Z][A-Z0-9_]{2,})=")
_KEY = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
_OWN_FILE = re.compile(r"ops/env/\w+\.env")
_PATH = re.compile(r"(?:app|schema|resolvers|domain|workers|tests|docs|ops|\.ci)/[\w./-]*")
_QUERY = re.compile(r'"query":\s*(?P<text>"(?:[^"\\]|\\.)*")')
_TAB = re.compile(r"^const \w+ = `(?P<text>[^`]*)`;$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of the documentation, with its code and its prose apart."""

    path: str
    text: str

    @property
    def fences(self) -> Sequence[tuple[str, str]]:
        """Kind and text of its fenced blocks."""
        return [(match["kind"], match["text"]) for match in _FENCE.finditer(self.text)]

    @property
    def prose(self) -> str:
        """Everything but the fenced blocks."""
        return _FENCE.sub("", self.text)

    @property
    def spans(self) -> Sequence[str]:
        """Code within sentences."""
        return [match["text"] for match in _SPAN.finditer(self.prose)]

    @property
    def code(self) -> Sequence[str]:
        """Everything a reader may copy."""
        return [*self.spans, *(text for _, text in self.fences)]

    @property
    def operations(self) -> Sequence[str]:
        """GraphQL documents: blocks of their own, and the bodies of requests."""
        own = [text for kind, text in self.fences if kind == "graphql"]
        sent = [match["text"] for _, text in self.fences for match in _QUERY.finditer(text)]
        return own + [json.loads(text) for text in sent]


def pages() -> Sequence[Page]:
    """README and everything beneath docs."""
    files: Sequence[SourceFile] = project_files(".md")
    return [
        Page(path=file.path, text=file.text)
        for file in files
        if file.path == "README.md" or file.folder == "docs"
    ]


def make_targets(makefile: str) -> set[str]:
    """Names of the targets that `make help` lists."""
    return {match["name"] for match in _TARGET.finditer(makefile)}


def tabs(script: str) -> Sequence[str]:
    """The GraphQL documents of the explorer's tabs."""
    return [match["text"] for match in _TAB.finditer(script)]


def broken_links(page: Page) -> Iterator[str]:
    """Links to files or headings that are not there; other hosts are not asked."""
    folder = PurePosixPath(page.path).parent
    for match in _LINK.finditer(page.prose):
        target, _, anchor = match["target"].partition("#")
        if "://" in target:
            continue
        file = ROOT / normpath(folder / target)
        if target and not file.exists():
            yield f"{page.path} links to {target}, which is not there"
        elif anchor and anchor not in anchors(file.read_text() if target else page.text):
            yield f"{page.path} links to the heading {match['target']}, which is not there"


def anchors(text: str) -> set[str]:
    """Headings as links name them."""
    titles = (match["title"].lower() for match in _HEADING.finditer(_FENCE.sub("", text)))
    return {re.sub(r"[^\w\- ]", "", title).strip().replace(" ", "-") for title in titles}


def unknown_targets(page: Page, known: set[str]) -> Iterator[str]:
    """Commands `make X` that the Makefile does not have."""
    for text in page.code:
        for match in _MAKE.finditer(text):
            if match["name"] not in known:
                yield f"{page.path} says `make {match['name']}`, which the Makefile does not have"


def unknown_keys(page: Page, known: set[str]) -> Iterator[str]:
    """Settings that nothing reads: assigned in code, or words with underscores in a span."""
    assigned = {match["key"] for text in page.code for match in _ASSIGNED.finditer(text)}
    named = {text for text in page.spans if _KEY.fullmatch(text)}
    for key in sorted((assigned | named) - known):
        yield f"{page.path} names {key}, which is no setting"


def missing_paths(page: Page) -> Iterator[str]:
    """Files and folders named in a span that are not there; env files are the reader's own."""
    for text in page.spans:
        is_ours = _PATH.fullmatch(text) and not _OWN_FILE.fullmatch(text)
        if is_ours and not (ROOT / text).exists():
            yield f"{page.path} names {text}, which is not there"


def served_schema() -> GraphQLSchema:
    """The schema that the server serves, as checked in."""
    return build_schema((ROOT / "docs" / "api" / "schema.graphql").read_text())


def invalid_operations(documents: Sequence[str], schema: GraphQLSchema) -> Iterator[str]:
    """Documents that the served schema refuses, with its first words on it."""
    for document in documents:
        try:
            problems = validate(schema, parse(document))
        except GraphQLSyntaxError as error:
            problems = [error]
        if problems:
            yield f"{problems[0].message}\n{document}"
