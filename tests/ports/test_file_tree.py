"""The file tree's contract, held by both ways of opening: nothing outside is ever reached."""

import os
import socket
import stat
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.adapters.files_beneath import (
    BeneathFileTree,
    Opener,
    WorkspaceFolders,
    best_opener,
    openat2_opener,
    walk_opener,
)
from domain.tools.ports import FileEntry, FileKind, FileMissing, FileRefused, FileText

SECRET = "SECRET"
OPENERS = [walk_opener]
if best_opener() is openat2_opener:
    OPENERS.append(openat2_opener)


@pytest.fixture(params=OPENERS, ids=lambda opener: opener.__name__)
def opener(request: pytest.FixtureRequest) -> Opener:
    return request.param


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace with a neighbour that holds a secret."""
    (tmp_path / "secret.txt").write_text(SECRET)
    (tmp_path / "ws-evil").mkdir()
    (tmp_path / "ws-evil" / "secret.txt").write_text(SECRET)
    root = tmp_path / "ws"
    (root / "notes").mkdir(parents=True)
    (root / "notes" / "todo.md").write_text("buy milk")
    return root


@pytest.fixture
def tree(root: Path, opener: Opener) -> BeneathFileTree:
    return BeneathFileTree(root, opener=opener)


async def read(tree: BeneathFileTree, path: str) -> str:
    return (await tree.read_text(path, offset=0, limit_bytes=1_000)).text


@pytest.mark.parametrize(
    "path", ["notes/todo.md", "./notes//todo.md", "notes/./todo.md", "notes/todo.md/"]
)
async def test_a_file_beneath_the_root_is_read(tree: BeneathFileTree, path: str):
    assert await read(tree, path) == "buy milk"


async def test_a_folder_is_listed_by_name_with_kind_size_and_time(
    tree: BeneathFileTree, root: Path
):
    (root / "b.txt").write_text("four")
    (root / "a-link").symlink_to("/etc/passwd")
    os.mkfifo(root / "z-fifo")
    for name in ("a-link", "b.txt", "notes", "z-fifo"):
        os.utime(root / name, (1_000_000_000, 1_000_000_000), follow_symlinks=False)

    listing = await tree.list("", limit=10)

    moment = datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)
    assert listing.entries == [
        FileEntry(name="a-link", kind=FileKind.LINK, size_bytes=0, modified_at=moment),
        FileEntry(name="b.txt", kind=FileKind.FILE, size_bytes=4, modified_at=moment),
        FileEntry(name="notes", kind=FileKind.FOLDER, size_bytes=0, modified_at=moment),
        FileEntry(name="z-fifo", kind=FileKind.OTHER, size_bytes=0, modified_at=moment),
    ]
    assert listing.truncated is False


async def test_a_long_listing_is_cut_and_says_so(tree: BeneathFileTree, root: Path):
    for number in range(5):
        (root / "notes" / f"{number}").touch()

    listing = await tree.list("notes", limit=3)

    assert [entry.name for entry in listing.entries] == ["0", "1", "2"]
    assert listing.truncated is True


async def test_a_root_that_is_missing_is_made_for_its_owner_alone(tmp_path: Path, opener: Opener):
    tree = BeneathFileTree(tmp_path / "new" / "ws", opener=opener)

    listing = await tree.list("", limit=10)

    assert listing.entries == []
    assert stat.S_IMODE((tmp_path / "new" / "ws").stat().st_mode) == 0o700


async def test_a_root_reached_through_a_link_of_the_operator_is_fine(
    tmp_path: Path, root: Path, opener: Opener
):
    (tmp_path / "alias").symlink_to(root)

    assert await read(BeneathFileTree(tmp_path / "alias", opener=opener), "notes/todo.md") == (
        "buy milk"
    )


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt",
        "notes/../../secret.txt",
        "notes/../notes/todo.md",
        "../ws-evil/secret.txt",
        "..",
        "/etc/passwd",
        "//etc/passwd",
        "/proc/self/environ",
        "notes/todo.md\0.png",
        "\0",
        "\ud800",
        "a" * 256,
        "/".join("a" * 33),
        "a/" * 600,
        "",
        ".",
    ],
)
async def test_a_path_that_could_lead_out_or_nowhere_is_refused(tree: BeneathFileTree, path: str):
    with pytest.raises(FileRefused) as refusal:
        await read(tree, path)

    assert SECRET not in refusal.value.message


@pytest.mark.parametrize(
    ("link", "path"),
    [
        (("l", "../secret.txt"), "l"),
        (("l", "notes/todo.md"), "l"),
        (("l", ".."), "l/secret.txt"),
        (("l", "notes"), "l/todo.md"),
        (("notes/l", "/proc/self/root"), "notes/l/etc/passwd"),
        (("l", "/proc/self/cwd"), "l"),
        (("l", "l"), "l"),
        (("l", "gone"), "l"),
    ],
)
async def test_no_link_is_followed_wherever_it_leads(
    tree: BeneathFileTree, root: Path, link: tuple[str, str], path: str
):
    name, target = link
    (root / name).symlink_to(target)

    with pytest.raises(FileRefused):
        await read(tree, path)
    with pytest.raises(FileRefused):
        await tree.list(path, limit=10)


async def test_what_is_no_plain_private_file_is_refused(
    tree: BeneathFileTree, root: Path, monkeypatch: pytest.MonkeyPatch
):
    os.mkfifo(root / "fifo")
    (root / "hard").hardlink_to(root.parent / "secret.txt")
    (root / "setuid").write_text(SECRET)
    (root / "setuid").chmod(0o4700)
    monkeypatch.chdir(root)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")

        for path in ("fifo", "hard", "setuid", "socket", "notes"):
            with pytest.raises(FileRefused) as refusal:
                await read(tree, path)
            assert repr(path) in refusal.value.message
            assert SECRET not in refusal.value.message


@pytest.mark.parametrize("path", ["gone", "gone/deeper", "notes/gone.md"])
async def test_a_path_to_nothing_is_missing(tree: BeneathFileTree, path: str):
    with pytest.raises(FileMissing, match=f"There is no file '{path}'"):
        await read(tree, path)
    with pytest.raises(FileMissing, match=f"There is no folder '{path}'"):
        await tree.list(path, limit=10)


async def test_a_file_is_no_folder(tree: BeneathFileTree):
    with pytest.raises(FileRefused, match="no folder"):
        await tree.list("notes/todo.md", limit=10)
    with pytest.raises(FileRefused, match="no folder"):
        await read(tree, "notes/todo.md/deeper")


async def test_a_long_file_is_read_in_parts_of_whole_characters(tree: BeneathFileTree, root: Path):
    (root / "long.txt").write_text("aü€😀z" * 50)

    parts: list[str] = []
    offset: int | None = 0
    while offset is not None:
        part = await tree.read_text("long.txt", offset=offset, limit_bytes=7)
        assert (part.size_bytes, part.lossy) == (550, False)
        assert part.truncated is (part.next_offset is not None)
        parts.append(part.text)
        offset = part.next_offset

    assert "".join(parts) == "aü€😀z" * 50


async def test_bytes_that_are_no_text_are_replaced_and_flagged(tree: BeneathFileTree, root: Path):
    (root / "latin").write_bytes("für".encode("latin-1"))
    (root / "cut").write_bytes("a€".encode()[:-1])

    assert await tree.read_text("latin", offset=0, limit_bytes=100) == FileText(
        text="f\ufffdr", size_bytes=3, truncated=False, next_offset=None, lossy=True
    )
    assert await tree.read_text("cut", offset=0, limit_bytes=100) == FileText(
        text="a\ufffd", size_bytes=3, truncated=False, next_offset=None, lossy=True
    )


async def test_a_binary_file_is_refused(tree: BeneathFileTree, root: Path):
    (root / "image").write_bytes(b"\x89PNG\0\0")

    with pytest.raises(FileRefused, match="'image' is no text: it holds zero bytes"):
        await read(tree, "image")


async def test_a_part_beyond_the_end_is_empty_and_impossible_bounds_are_refused(
    tree: BeneathFileTree,
):
    nothing = FileText(text="", size_bytes=8, truncated=False, next_offset=None, lossy=False)

    for offset in (8, 100, 2**63 - 1, 2**80):
        assert await tree.read_text("notes/todo.md", offset=offset, limit_bytes=10) == nothing
    for offset, limit_bytes in ((-1, 10), (0, 3), (0, 2_000_000)):
        with pytest.raises(FileRefused, match="Read from 0 on"):
            await tree.read_text("notes/todo.md", offset=offset, limit_bytes=limit_bytes)


def swap_until(stop: threading.Event, root: Path, swaps: list[int]) -> None:
    """Put a file, a link out and a folder behind a link out in each other's place."""
    while not stop.is_set():
        (root / "next").write_text("fine")
        (root / "next").rename(root / "file")
        (root / "next").symlink_to(root.parent / "secret.txt")
        (root / "next").rename(root / "file")
        (root / "folder").rename(root / "aside")
        (root / "folder").symlink_to(root.parent)
        (root / "folder").unlink()
        (root / "aside").rename(root / "folder")
        swaps.append(1)


async def test_no_secret_is_read_while_files_links_and_folders_change_places(
    root: Path, opener: Opener
):
    (root / "folder").mkdir()
    (root / "folder" / "secret.txt").write_text("fine")
    tree = BeneathFileTree(root, opener=opener)
    stop, swaps = threading.Event(), list[int]()
    swapper = threading.Thread(target=swap_until, args=(stop, root, swaps))
    seen: set[str] = set()
    swapper.start()

    try:
        rounds = 0
        while rounds < 2_000 or len(swaps) < 20:
            rounds += 1
            for path in ("file", "folder/secret.txt"):
                try:
                    text = await read(tree, path)
                except (FileRefused, FileMissing):
                    text = "refused"
                seen.add(text)
    finally:
        stop.set()
        swapper.join()

    assert seen == {"fine", "refused"}


def open_descriptors() -> list[Path]:
    return sorted(Path("/dev/fd").iterdir())


async def test_descriptors_are_given_back_whatever_happens(tree: BeneathFileTree, root: Path):
    (root / "l").symlink_to("/etc/passwd")
    await read(tree, "notes/todo.md")
    before = open_descriptors()

    for path in ("notes/todo.md", "notes", "l", "l/x", "gone", "notes/todo.md/x"):
        for _ in range(3):
            try:
                await read(tree, path)
            except (FileRefused, FileMissing):
                await tree.list("", limit=1)

    assert open_descriptors() == before


async def test_each_workspace_has_a_folder_of_its_own(tmp_path: Path, opener: Opener):
    folders = WorkspaceFolders(tmp_path / "workspaces", opener=opener)
    mine, theirs = folders.tree_of("w1"), folders.tree_of("w2")
    await mine.list("", limit=1)
    (tmp_path / "workspaces" / "w1" / "a.txt").write_text("mine")

    listing = await theirs.list("", limit=10)

    assert await read(mine, "a.txt") == "mine"
    assert listing.entries == []


@pytest.mark.parametrize("workspace_id", ["", "..", ".", "a/b", "/etc", "a\0", "w1\n"])
def test_an_id_that_is_no_plain_name_gets_no_folder(tmp_path: Path, workspace_id: str):
    folders = WorkspaceFolders(tmp_path / "workspaces")

    with pytest.raises(FileRefused):
        folders.tree_of(workspace_id)

    assert list(tmp_path.iterdir()) == []
