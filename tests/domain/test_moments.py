"""Moments as clients send them."""

import pytest

from domain.kernel.errors import ValidationFailed
from domain.kernel.moments import EARLIEST_US, LATEST_US, Instant, format_moment
from domain.kernel.validation import ClientModel, validated


class Alarm(ClientModel):
    rings_at: Instant


def rings_at(value: object) -> int:
    return validated(Alarm, {"ringsAt": value}).rings_at


@pytest.mark.parametrize(
    ("value", "moment_us"),
    [
        ("2026-11-22T09:30:00Z", 1_795_339_800_000_000),
        ("2026-11-22T10:30:00.25+01:00", 1_795_339_800_250_000),
        (1_795_339_800_000_001, 1_795_339_800_000_001),
        (0, 0),
    ],
)
def test_a_moment_is_text_with_an_offset_or_microseconds(value: object, moment_us: int):
    assert rings_at(value) == moment_us


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("2026-11-22T09:30:00", "add its offset to UTC: 2026-11-22T09:30:00Z for UTC itself,"),
        ("2026-11-22T09:30", "add its offset to UTC: 2026-11-22T09:30:00Z for UTC itself,"),
        ("2026-11-22T09:30Z", "'2026-11-22T09:30Z' is no moment; write 2026-11-22T09:30:00Z."),
        ("2026-11-22 09:30:00.5Z", "write 2026-11-22T09:30:00.5Z."),
        ("2026-11-22T09:30:00+0100", "write 2026-11-22T09:30:00+01:00."),
        ("2026-11-22T09:30:00 Europe/Berlin", "with its offset to UTC"),
        ("2026-11-22T24:00:00Z", "write the end of a day as 00:00:00 of the next."),
        ("2016-12-31T23:59:60Z", "leap seconds are not counted; send second 59,"),
        ("2026-11-22T09:30:00+24:00", "its offset to UTC must be less than 24 hours."),
        ("2026-11-22T09:30:00+05:99", "its offset to UTC must be less than 24 hours."),
        ("2026-02-30T09:30:00Z", "day is out of range for month."),
        ("\uff12026-11-22T09:30:00Z", "is no moment"),
        ("2026-11-22", "is no moment"),
        ("tomorrow", "is no moment"),
        ("2026-13-22T09:30:00Z", "is no moment"),
        (True, "true is no moment; send one like"),
        (1.5, "1.5 is no moment; send one like"),
        (None, "null is no moment; send one like"),
        (["2026-11-22T09:30:00Z"], "A list is no moment; send one like"),
        ({}, "An object is no moment; send one like"),
        (EARLIEST_US - 1, "years 1 to 9999"),
        (LATEST_US + 1, "years 1 to 9999"),
    ],
)
def test_what_is_no_moment_is_refused_with_what_would_be_right(value: object, part: str):
    with pytest.raises(ValidationFailed) as refused:
        rings_at(value)

    assert refused.value.path == ("ringsAt",)
    assert part in refused.value.message


def test_a_long_text_is_shown_shortened():
    with pytest.raises(ValidationFailed) as refused:
        rings_at("x" * 10_000)

    assert len(refused.value.message) < 200


def test_every_moment_that_is_taken_can_be_written():
    assert format_moment(EARLIEST_US) == "0001-01-01T00:00:00.000Z"
    assert format_moment(LATEST_US) == "9999-12-31T23:59:59.999Z"


def test_its_json_schema_is_that_of_a_date_time():
    field = Alarm.model_json_schema()["properties"]["ringsAt"]

    assert (field["type"], field["format"]) == ("string", "date-time")
