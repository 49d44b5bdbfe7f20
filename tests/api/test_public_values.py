"""Ids, moments, numbers and inputs in the form in which clients see and send them."""

import pytest

from domain.kernel.errors import FieldProblem, NotFound
from schema.agent_inputs import (
    AgentRef,
    CreateAgentInput,
    MemoryPolicyInput,
    ModelInput,
    UpdateAgentInput,
)
from schema.agents import MemoryKind, MemoryScope
from schema.ids import Kind, MalformedId, decode_any, decode_id, encode_id, kind_named, public_ident
from schema.inputs import values_of
from schema.run_inputs import ExecuteAgentInput
from schema.scalars import format_moment, parse_long, parse_moment

RAW = "019aabcd-ef12-7456-9abc-def012345678"
AGENT = encode_id(Kind.AGENT, RAW)


def test_an_id_tells_its_kind_and_comes_back_as_it_was():
    assert encode_id(Kind.RUN, RAW) == "run_AZqrze8SdFaavN7wEjRWeA"
    assert decode_any("run_AZqrze8SdFaavN7wEjRWeA", path="id") == (Kind.RUN, RAW)


def test_a_tool_has_an_id_made_of_its_name():
    assert encode_id(Kind.TOOL, "csv_read") == "tool_Y3N2X3JlYWQ"
    assert decode_any("tool_Y3N2X3JlYWQ", path="id") == (Kind.TOOL, "csv_read")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "run",
        "run_",
        "RUN_AZqrze8SdFaavN7wEjRWeA",
        "thing_AZqrze8SdFaavN7wEjRWeA",
        "run_AZqrze8SdFaavN7wEjRWeA==",
        "run_AZqrze8SdFaavN7wEjRWeB",
        "run_AZqrze8SdFaavN7wEjRW",
        "run_AZqrze8 SdFaavN7wEjRWeA",
        "run_ÄZqrze8SdFaavN7wEjRWeA",
        RAW,
        "tool_w",
        "run_" + "A" * 300,
    ],
)
def test_what_is_no_id_is_refused_by_the_name_of_its_field(text: str):
    with pytest.raises(MalformedId) as caught:
        decode_any(text, path="input.runId")

    assert caught.value.path == ("input", "runId")
    assert caught.value.text == text


def test_an_id_of_another_kind_names_nothing():
    with pytest.raises(NotFound) as caught:
        decode_id(Kind.RUN, AGENT, path="runId")

    assert caught.value.message == f"No run has the id {str(AGENT)!r}."
    assert caught.value.path == ("runId",)


def test_raw_ids_of_the_domain_become_those_that_clients_know():
    assert public_ident("run", RAW) == "run_AZqrze8SdFaavN7wEjRWeA"
    assert public_ident("API key", RAW) == "key_AZqrze8SdFaavN7wEjRWeA"
    assert public_ident("agent", "default") == "default"
    assert public_ident("moon", RAW) == RAW
    assert kind_named("Conversation") is Kind.CONVERSATION


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2026-11-22T09:30:00Z", "2026-11-22T09:30:00.000Z"),
        ("2026-11-22t09:30:00.5z", "2026-11-22T09:30:00.500Z"),
        ("2026-11-22T09:30:00.123456789+05:30", "2026-11-22T04:00:00.123Z"),
        ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
        ("0999-01-01T00:00:00Z", "0999-01-01T00:00:00.000Z"),
    ],
)
def test_a_moment_is_written_in_utc_with_milliseconds(text: str, written: str):
    assert format_moment(parse_moment(text)) == written


def test_a_moment_is_read_to_the_microsecond():
    assert parse_moment("1970-01-01T00:00:01.234567Z") == 1_234_567


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-22",
        "2026-11-22T09:30:00",
        "2026-11-22 09:30:00Z",
        "20261122T093000Z",
        "2026-02-30T00:00:00Z",
        "2026-11-22T24:30:00Z",
        "2026-11-22T09:30:00+0100",
        "٢٠٢٦-11-22T09:30:00Z",
        1_234_567,
        None,
    ],
)
def test_what_is_no_moment_is_refused(value: object):
    with pytest.raises(ValueError, match="is no moment"):
        parse_moment(value)


def test_a_long_is_a_whole_number_that_json_carries_exactly():
    assert parse_long(2**53 - 1) == 2**53 - 1
    assert parse_long(5.0) == 5
    for value in (2**53, -(2**53), 1.5, "1", True, None):
        with pytest.raises(ValueError, match="no whole number"):
            parse_long(value)


def test_absent_fields_stay_absent_and_null_is_none():
    given = UpdateAgentInput(agent_id=AGENT, description=None, name="Nora")

    assert values_of(given) == {"agentId": RAW, "description": None, "name": "Nora"}


def test_an_input_comes_in_client_names_with_ids_decoded():
    given = CreateAgentInput(
        name="Nora",
        model=ModelInput(provider="openai", name="gpt"),
        fallback_models=[ModelInput(provider="offline", name="planner")],
        delegate_ids=[AGENT],
        memory=MemoryPolicyInput(scope=MemoryScope.AGENT, recall_kinds=[MemoryKind.FRAGMENT]),
    )

    assert values_of(given) == {
        "name": "Nora",
        "model": {"provider": "openai", "name": "gpt"},
        "fallbackModels": [{"provider": "offline", "name": "planner"}],
        "delegateIds": [RAW],
        "memory": {"scope": "AGENT", "recallKinds": ["FRAGMENT"]},
    }


def test_defaults_of_the_contract_are_values():
    given = ExecuteAgentInput(agent=AgentRef(slug="default"), instruction="Hello")

    assert values_of(given) == {
        "agent": {"slug": "default"},
        "instruction": "Hello",
        "onBusy": "REJECT",
        "waitSeconds": 0,
        "priority": 5,
    }


def test_a_malformed_id_is_named_from_the_root_of_the_input():
    given = ExecuteAgentInput(agent=AgentRef(id="nonsense"), instruction="Hello")

    with pytest.raises(MalformedId) as caught:
        values_of(given)

    message = "'nonsense' is no id; send one that this API gave out."
    assert caught.value.problems == (FieldProblem(path=("agent", "id"), message=message),)


def test_a_malformed_id_in_a_list_is_named_by_its_place():
    given = CreateAgentInput(name="Nora", delegate_ids=[AGENT, "nonsense"])

    with pytest.raises(MalformedId) as caught:
        values_of(given)

    assert caught.value.path == ("delegateIds", "1")
