"""What `gob run` is told becomes an order, or one sentence that says what is wrong with it."""

import io
import sys
from pathlib import Path

import pytest

from app.cli.run.order import RunOrder, check_stdin_once, read_inputs, read_instruction
from app.cli.run.whom import Whom, desk_for, own_address
from app.failures import StartRefused
from app.settings import load_settings

NO_FILE = Path("/dev/null")
AGENT_ID = "agent_AaIGbUBucACEvJzYyQ6DTw"


def silent(_: str) -> None:
    """Nobody waits."""


def test_an_order_says_only_what_was_given():
    values = dict(RunOrder(instruction="Say hi").values())

    assert len(values.pop("idempotencyKey")) == 36
    assert values == {"agent": {"slug": "default"}, "instruction": "Say hi", "waitSeconds": 0}


def test_an_order_names_agent_model_conversation_inputs_and_time():
    order = RunOrder(
        instruction="Say hi",
        agent=AGENT_ID,
        model="providers:groq:llama-3.3-70b",
        conversation="conv_1",
        inputs={"a": 1},
        timeout_s=30,
    )

    values = order.values()

    assert values["agent"] == {"id": AGENT_ID}
    assert values["model"] == {"provider": "providers", "name": "groq:llama-3.3-70b"}
    assert (values["conversationId"], values["inputs"]) == ("conv_1", {"a": 1})
    assert values["limits"] == {"maxSeconds": 30}


@pytest.mark.parametrize("model", ["gpt", ":gpt", "openai:"])
def test_a_model_without_provider_or_name_is_refused(model: str):
    with pytest.raises(StartRefused) as caught:
        RunOrder(instruction="x", model=model).values()

    assert str(caught.value) == (
        f"--model {model!r} names no model; write it as provider:name, such as openai:gpt-4.1-mini."
    )


def test_inputs_are_json_or_text_or_files(tmp_path: Path):
    log = tmp_path / "error.log"
    log.write_text("disk full\n")

    found = read_inputs(["n=5", "list=[1, 2]", "name=Ann Lee", "empty=", f"log=@{log}", "eq=a=b"])

    assert found == {
        "n": 5,
        "list": [1, 2],
        "name": "Ann Lee",
        "empty": "",
        "log": "disk full\n",
        "eq": "a=b",
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["n"], "--input 'n' is no pair; write it as --input key=value."),
        (["=1"], "--input '=1' is no pair; write it as --input key=value."),
        (["n=1", "n=2"], "--input gives 'n' twice; give it once."),
        (["n=@nowhere.txt"], "--input n: nowhere.txt cannot be read: No such file or directory."),
    ],
)
def test_an_input_that_cannot_be_read_is_refused(given: list[str], said: str):
    with pytest.raises(StartRefused) as caught:
        read_inputs(given)

    assert str(caught.value) == said


def test_a_dash_reads_the_instruction_from_standard_input(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("Über alles\n".encode())))

    assert read_instruction("-") == "Über alles"


def test_standard_input_is_read_once():
    check_stdin_once("-", ["a=@file", "b=-"])

    for instruction, inputs in (("-", ["a=@-"]), ("Say hi", ["a=@-", "b=@-"])):
        with pytest.raises(StartRefused, match="Only one of instruction and inputs"):
            check_stdin_once(instruction, inputs)


def test_an_empty_instruction_is_refused():
    with pytest.raises(StartRefused, match="The instruction is empty"):
        read_instruction("  \n")


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        ({}, "http://localhost:8080"),
        ({"HOST": "0.0.0.0", "PORT": "9000"}, "http://localhost:9000"),
        ({"HOST": "::1"}, "http://[::1]:8080"),
        ({"HOST": "gob.example.com"}, "http://gob.example.com:8080"),
        ({"PORT": "0"}, ""),
    ],
)
def test_the_server_of_this_machine_is_where_it_would_listen(
    settings: dict[str, str], address: str
):
    assert own_address(load_settings(settings, NO_FILE)) == address


@pytest.mark.parametrize(
    ("whom", "said"),
    [
        (
            Whom(server="localhost:8080"),
            "--server is 'localhost:8080'; it should be an http:// or https:// address.",
        ),
        (
            Whom(server="http://a", is_embedded=True),
            "--embedded asks no server: leave out --server and --key-file.",
        ),
    ],
)
def test_a_choice_of_server_that_makes_no_sense_is_refused(whom: Whom, said: str):
    with pytest.raises(StartRefused) as caught:
        whom.checked(load_settings({}, NO_FILE))

    assert str(caught.value) == said


def test_a_named_server_wins_over_the_setting():
    settings = load_settings({"GOB_SERVER": "https://gob.example.com/"}, NO_FILE)

    assert Whom().checked(settings).server == "https://gob.example.com"
    assert Whom(server="http://other").checked(settings).server == "http://other"
    assert Whom(is_embedded=True).checked(settings).server == ""


async def test_the_key_of_this_machine_goes_to_no_other(tmp_path: Path):
    (tmp_path / "api-key").write_text("gob_local\n")
    settings = load_settings({"DATA_DIR": str(tmp_path)}, NO_FILE)
    whom = Whom(server="https://gob.example.com")

    with pytest.raises(StartRefused) as caught:
        async with desk_for(settings, whom, silent):
            pass

    assert str(caught.value) == (
        "https://gob.example.com needs a key: give --key-file, or set GOB_API_KEY."
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file or directory."),
        ("", "is empty; `gob keys create NAME` makes a key."),
    ],
)
async def test_a_key_file_without_a_key_is_refused(tmp_path: Path, content: str | None, said: str):
    path = tmp_path / "key"
    if content is not None:
        path.write_text(content)
    whom = Whom(server="http://localhost:1", key_file=path)

    with pytest.raises(StartRefused) as caught:
        async with desk_for(load_settings({}, NO_FILE), whom, silent):
            pass

    assert str(caught.value) == f"The key file {path} {said}"


async def test_a_key_with_letters_that_no_key_has_is_refused():
    settings = load_settings({"GOB_API_KEY": "gob_\u00e4bc"}, NO_FILE)

    with pytest.raises(StartRefused) as caught:
        async with desk_for(settings, Whom(server="http://localhost:1"), silent):
            pass

    assert str(caught.value) == "The API key holds letters that no key has; copy it again."
