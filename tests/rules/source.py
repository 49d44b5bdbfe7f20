"""The project's files as the rules see them, and the rules that look at one file."""

import ast
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("app", "schema", "resolvers", "domain", "workers")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

# Who may read the wall clock besides the clock adapter, and why.
CLOCK_READERS = {
    "app/adapters/clock.py": "it is the clock",
    "app/logging.py": "a log line says when it was written, whatever clock the product has",
}
_CLOCKS = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "date.today"}
_CLOCKS |= {f"datetime.{name}" for name in ("datetime.now", "datetime.utcnow", "date.today")}
_SLEEPS = {"time.sleep", "asyncio.sleep", "anyio.sleep"}
_CODES = re.compile(r"noqa: [A-Z]+\d+(, [A-Z]+\d+)*")
# Written in pieces, so that this file does not break its own rule.
_HOSTS = ("py" + "pi.org", "python" + "hosted.org", "registry.np" + "mjs.org", "np" + "mjs.com")
_PATHS = re.compile(r"(?<![\w.])/(?:root|home/\w+|Users/\w+|work|mnt/\w+)/")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file of the project; `path` starts at the project's root."""

    path: str
    text: str

    @property
    def folder(self) -> str:
        """The first part of its path."""
        return self.path.partition("/")[0]

    @property
    def is_product(self) -> bool:
        """True for what runs on an operator's machine."""
        return self.folder in PRODUCT and self.path.endswith(".py")

    @property
    def lines(self) -> Sequence[str]:
        """Its lines."""
        return self.text.splitlines()

    @property
    def tree(self) -> ast.Module:
        """Its syntax tree."""
        return ast.parse(self.text, self.path)


Rule = Callable[[SourceFile], Iterator[str]]


def tracked_paths() -> Sequence[str]:
    """Every file that git keeps or would keep, and that is there."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return [path for path in listed.stdout.split("\0") if path and (ROOT / path).is_file()]


def project_files(*endings: str) -> Sequence[SourceFile]:
    """The text files with these endings, all of them when none is given."""
    found: list[SourceFile] = []
    for path in tracked_paths():
        if endings and not path.endswith(endings):
            continue
        try:
            found.append(SourceFile(path=path, text=(ROOT / path).read_text("utf-8")))
        except UnicodeDecodeError:
            continue
    return found


def stays_small(file: SourceFile) -> Iterator[str]:
    """No Python or TypeScript file over 400 lines, except generated ones."""
    if file.path.endswith((".py", ".ts", ".tsx")) and "/generated/" not in file.path:
        count = len(file.lines)
        if count > MAX_FILE_LINES:
            yield f"{file.path} has {count} lines; {MAX_FILE_LINES} is the most"


def has_short_functions(file: SourceFile) -> Iterator[str]:
    """No function of the product over 60 lines; migrations are written by a tool."""
    if not file.is_product or file.path.startswith("app/migrations/"):
        return
    for node in ast.walk(file.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            count = (node.end_lineno or node.lineno) - node.lineno + 1
            if count > MAX_FUNCTION_LINES:
                yield f"{file.path}:{node.lineno} {node.name} has {count} lines"


def leaves_the_environment_alone(file: SourceFile) -> Iterator[str]:
    """Only app/settings.py reads the environment."""
    if not file.is_product or file.path == "app/settings.py":
        return
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Attribute) and _dotted(node) in {"os.environ", "os.getenv"}:
            yield f"{file.path}:{node.lineno} reads the environment; app/settings.py does that"
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            names = {alias.name for alias in node.names} & {"environ", "getenv", "environb"}
            if names:
                yield f"{file.path}:{node.lineno} imports {', '.join(sorted(names))}"


def never_sleeps_to_wait(file: SourceFile) -> Iterator[str]:
    """A test waits for the thing, not for time to pass; sleep(0) gives way and is fine."""
    if file.folder != "tests" or not file.path.endswith(".py"):
        return
    for call in _calls(file):
        if _dotted(call.func) not in _SLEEPS or not call.args:
            continue
        length = call.args[0]
        if not (isinstance(length, ast.Constant) and length.value == 0):
            yield f"{file.path}:{call.lineno} sleeps; wait for the thing instead"


def asks_the_clock_port(file: SourceFile) -> Iterator[str]:
    """The wall clock is read by the clock adapter and by those with a reason."""
    if not file.is_product or file.path in CLOCK_READERS:
        return
    for call in _calls(file):
        if _dotted(call.func) in _CLOCKS:
            yield f"{file.path}:{call.lineno} reads the wall clock; take a Clock instead"


def prints_nothing(file: SourceFile) -> Iterator[str]:
    """Only the command line prints; everything else logs."""
    if not file.is_product or file.path.startswith("app/cli/"):
        return
    for call in _calls(file):
        if isinstance(call.func, ast.Name) and call.func.id == "print":
            yield f"{file.path}:{call.lineno} prints; log instead"


def says_what_it_is_for(file: SourceFile) -> Iterator[str]:
    """Every module opens with a sentence; migrations are written by a tool."""
    if not file.path.endswith(".py") or file.path.startswith("app/migrations/0"):
        return
    docstring = ast.get_docstring(file.tree) or ""
    first = docstring.partition("\n")[0]
    if not first.endswith("."):
        yield f"{file.path} does not open with a sentence that says what it is for"


def catches_all_only_with_a_reason(file: SourceFile) -> Iterator[str]:
    """`except Exception` that does not raise again says beside it why it is an outermost edge."""
    if not file.is_product:
        return
    for node in ast.walk(file.tree):
        if not isinstance(node, ast.ExceptHandler) or isinstance(node.body[-1], ast.Raise):
            continue
        is_broad = node.type is None or _dotted(node.type) in {"Exception", "BaseException"}
        comment = file.lines[node.lineno - 1].partition("#")[2]
        if is_broad and len(_CODES.sub("", comment).split()) < 3:
            yield f"{file.path}:{node.lineno} catches everything and gives no reason"


def names_no_place(file: SourceFile) -> Iterator[str]:
    """No path of one machine and no package registry stands in a file."""
    for number, line in enumerate(file.lines, start=1):
        if _PATHS.search(line):
            yield f"{file.path}:{number} names a path of one machine"
        if any(host in line for host in _HOSTS):
            yield f"{file.path}:{number} names a package registry"


def _calls(file: SourceFile) -> Iterator[ast.Call]:
    return (node for node in ast.walk(file.tree) if isinstance(node, ast.Call))


def _dotted(node: ast.expr) -> str:
    """`a.b.c` for such an expression, empty for any other."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = _dotted(node.value)
        return f"{base}.{node.attr}" if base else ""
    return ""
