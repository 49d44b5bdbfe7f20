"""Zones by which schedules are due: their names, and refusals that tell the right one."""

from datetime import datetime, timedelta

import pytest

from domain.tasks.cron import ZoneError, zone_named, zone_names


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("europe/berlin", "did you mean Europe/Berlin?"),
        (" Europe/Berlin", "did you mean Europe/Berlin?"),
        ("utc", "did you mean UTC?"),
        ("Z", "did you mean UTC?"),
        ("PST", "did you mean America/Los_Angeles?"),
        ("W. Europe Standard Time", "did you mean Europe/Berlin?"),
        ("Eastern Daylight Time", "did you mean America/New_York?"),
        ("Mumbai", "did you mean Asia/Kolkata?"),
        ("Amerca/New_York", "did you mean America/New_York?"),
        ("+00:00", "use UTC."),
        (
            "UTC+2",
            "an offset is no zone: use a place such as Europe/Berlin, whose clocks change, or",
        ),
        (
            "GMT+2",
            "an offset is no zone: use a place such as Europe/Berlin, whose clocks change, or",
        ),
        (
            "UTC+05:30",
            "an offset is no zone: use a place such as Europe/Berlin, whose clocks change.",
        ),
        ("Berlin", "did you mean Europe/Berlin?"),
        ("New York", "did you mean America/New_York?"),
        ("../../etc/passwd", "use one like Europe/Berlin."),
        ("Europe", "did you mean"),
        ("", "use one like Europe/Berlin."),
    ],
)
def test_an_unknown_zone_is_refused_with_close_matches(name, hint):
    with pytest.raises(ZoneError) as refused:
        zone_named(name)

    assert f"No time zone is called {name!r}; {hint}" in str(refused.value)


@pytest.mark.parametrize(("offset", "hours"), [("UTC+2", 2), ("GMT-11", -11), ("+14:00", 14)])
def test_the_fixed_zone_that_is_told_for_an_offset_has_that_offset(offset, hours):
    with pytest.raises(ZoneError) as refused:
        zone_named(offset)

    told = str(refused.value).partition(", or ")[2].partition(",")[0]
    noon = datetime(2026, 6, 1, 12, tzinfo=zone_named(told))
    assert noon.utcoffset() == timedelta(hours=hours)


def test_every_zone_of_the_package_can_be_used():
    names = zone_names()

    assert {"UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires"} <= names
    assert [name for name in names if zone_named(name).key != name] == []
