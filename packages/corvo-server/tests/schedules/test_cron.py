"""Cron expressions: their occurrences, and the errors of invalid ones."""

from datetime import UTC, datetime

import pytest

from corvo_server.engine import cron


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1000)


def shown(moments: list[int]) -> list[str]:
    return [datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%MZ") for at in moments]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("* * * * *", ["2026-01-01T00:01Z", "2026-01-01T00:02Z"]),
        ("*/20 * * * *", ["2026-01-01T00:20Z", "2026-01-01T00:40Z"]),
        ("5/25 * * * *", ["2026-01-01T00:05Z", "2026-01-01T00:30Z"]),
        ("0 9-17/4 * * MON-FRI", ["2026-01-01T09:00Z", "2026-01-01T13:00Z"]),
        ("0 0 1,15 * *", ["2026-01-15T00:00Z", "2026-02-01T00:00Z"]),
        ("0 0 L * *", ["2026-01-31T00:00Z", "2026-02-28T00:00Z"]),
        ("0 0 LW * *", ["2026-01-30T00:00Z", "2026-02-27T00:00Z"]),
        ("0 0 * * 5L", ["2026-01-30T00:00Z", "2026-02-27T00:00Z"]),
        ("0 0 * * mon#2", ["2026-01-12T00:00Z", "2026-02-09T00:00Z"]),
        ("0 0 * jun,Dec sun", ["2026-06-07T00:00Z", "2026-06-14T00:00Z"]),
        ("0 0 * * 0", ["2026-01-04T00:00Z", "2026-01-11T00:00Z"]),
        ("0 0 * * 7", ["2026-01-04T00:00Z", "2026-01-11T00:00Z"]),
        ("0 0 13 * FRI", ["2026-01-02T00:00Z", "2026-01-09T00:00Z"]),  # day or weekday
        ("0 0 29 2 *", ["2028-02-29T00:00Z", "2032-02-29T00:00Z"]),
        ("0 0 * 2 1#5", ["2044-02-29T00:00Z", "2072-02-29T00:00Z"]),
        ("@hourly", ["2026-01-01T01:00Z", "2026-01-01T02:00Z"]),
        ("@daily", ["2026-01-02T00:00Z", "2026-01-03T00:00Z"]),
        ("@midnight", ["2026-01-02T00:00Z", "2026-01-03T00:00Z"]),
        ("@weekly", ["2026-01-04T00:00Z", "2026-01-11T00:00Z"]),
        ("@Monthly", ["2026-02-01T00:00Z", "2026-03-01T00:00Z"]),
        ("@yearly", ["2027-01-01T00:00Z", "2028-01-01T00:00Z"]),
        ("@annually", ["2027-01-01T00:00Z", "2028-01-01T00:00Z"]),
        ("  0\t0 *  * * ", ["2026-01-02T00:00Z", "2026-01-03T00:00Z"]),
    ],
)
def test_upcoming_returns_the_next_occurrences(expression: str, expected: list[str]) -> None:
    cron.parse(expression)
    assert shown(cron.upcoming(expression, "UTC", ms("2026-01-01T00:00Z"), 2)) == expected


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("2026-01-01T11:59:59.999Z", "2026-01-01T12:00Z"),
        ("2026-01-01T12:00:00.000Z", "2026-01-02T12:00Z"),
        ("2026-01-01T12:00:00.001Z", "2026-01-02T12:00Z"),
        ("2026-01-01T12:00:59.999Z", "2026-01-02T12:00Z"),
    ],
)
def test_next_after_returns_a_strictly_later_time(after: str, expected: str) -> None:
    assert cron.next_after("0 12 * * *", "UTC", ms(after)) == ms(expected)


def test_times_are_in_the_zone() -> None:
    moment = cron.next_after("30 8 * * *", "Asia/Kathmandu", ms("2026-01-01T00:00Z"))
    assert moment == ms("2026-01-01T08:30+05:45")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # Berlin, 29 March 2026: 02:00 to 03:00 is skipped.
        ("30 2 * * *", ["2026-03-29T03:00+02:00"]),
        ("0,20,40 2 * * *", ["2026-03-29T03:00+02:00"]),  # three skipped times run once
        (
            "0 2,3 * * *",
            ["2026-03-29T03:00+02:00"],
        ),  # 02:00 is skipped, 03:00 is shown at that moment
        ("15 2-3 * * *", ["2026-03-29T03:00+02:00", "2026-03-29T03:15+02:00"]),
        ("59 1 * * *", ["2026-03-29T01:59+01:00"]),
    ],
)
def test_skipped_times_run_once_right_after_the_gap(expression: str, expected: list[str]) -> None:
    start, end = ms("2026-03-29T00:00+01:00"), ms("2026-03-29T12:00+02:00")
    moments = [at for at in cron.upcoming(expression, "Europe/Berlin", start, 9) if at < end]
    assert moments == [ms(text) for text in expected]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # Berlin, 25 October 2026: 02:00 to 03:00 happens twice.
        ("30 2 * * *", ["2026-10-25T02:30+02:00"]),
        ("0,30 2 * * *", ["2026-10-25T02:00+02:00", "2026-10-25T02:30+02:00"]),
        (
            "0 1-3 * * *",
            ["2026-10-25T01:00+02:00", "2026-10-25T02:00+02:00", "2026-10-25T03:00+01:00"],
        ),
    ],
)
def test_repeated_times_run_the_first_time(expression: str, expected: list[str]) -> None:
    start, end = ms("2026-10-25T00:00+02:00"), ms("2026-10-25T12:00+01:00")
    moments = [at for at in cron.upcoming(expression, "Europe/Berlin", start, 9) if at < end]
    assert moments == [ms(text) for text in expected]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (
            "0 * * * *",
            [
                "2026-10-25T01:00+02:00",
                "2026-10-25T02:00+02:00",
                "2026-10-25T02:00+01:00",
                "2026-10-25T03:00+01:00",
            ],
        ),
        (
            "*/30 2 * * *",
            [
                "2026-10-25T02:00+02:00",
                "2026-10-25T02:30+02:00",
                "2026-10-25T02:00+01:00",
                "2026-10-25T02:30+01:00",
            ],
        ),
        ("0 2-3/2 * * *", ["2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00"]),
    ],
)
def test_intervals_run_in_both_hours_that_are_shown_alike(
    expression: str, expected: list[str]
) -> None:
    start, end = ms("2026-10-25T00:59+02:00"), ms("2026-10-25T03:30+01:00")
    for after in (start, ms(expected[0]) - 1):
        moments = [at for at in cron.upcoming(expression, "Europe/Berlin", after, 9) if at < end]
        assert moments == [ms(text) for text in expected]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 * * * *", ["2026-03-29T01:00+01:00", "2026-03-29T03:00+02:00"]),
        ("17 * * * *", ["2026-03-29T01:17+01:00", "2026-03-29T03:17+02:00"]),
        ("*/20 2 * * *", []),
    ],
)
def test_intervals_do_not_run_at_skipped_times(expression: str, expected: list[str]) -> None:
    start, end = ms("2026-03-29T00:59+01:00"), ms("2026-03-29T03:59+02:00")
    moments = [at for at in cron.upcoming(expression, "Europe/Berlin", start, 9) if at < end]
    assert moments == [ms(text) for text in expected]


def test_skipped_day_runs_at_the_start_of_the_next_day() -> None:
    # Samoa skipped 30 December 2011.
    moments = cron.upcoming("0 12 * * *", "Pacific/Apia", ms("2011-12-29T12:00-10:00"), 2)
    assert moments == [ms("2011-12-31T00:00+14:00"), ms("2011-12-31T12:00+14:00")]


@pytest.mark.parametrize(
    ("expression", "field"),
    [
        ("61 * * * *", "minute"),
        ("5,,7 * * * *", "minute"),
        ("*/0 * * * *", "minute"),
        ("*/90 * * * *", "minute"),
        ("7-7/5 * * * *", "minute"),
        ("-5 * * * *", "minute"),
        ("1.5 * * * *", "minute"),
        ("٣ * * * *", "minute"),
        ("* 24 * * *", "hour"),
        ("* 9-5 * * *", "hour"),
        ("* noon * * *", "hour"),
        ("* * 0 * *", "day"),
        ("* * 32 * *", "day"),
        ("* * 15W * *", "day"),
        ("* * ? * *", "day"),
        ("* * L/2 * *", "day"),
        ("* * * 13 *", "month"),
        ("* * * MÄR *", "month"),
        ("* * * * 8", "weekday"),
        ("* * * * L", "weekday"),
        ("* * * * 1#6", "weekday"),
        ("* * * * FRI-MON", "weekday"),
        ("61 24 32 13 8", "minute"),
    ],
)
def test_parse_names_the_invalid_field(expression: str, field: str) -> None:
    with pytest.raises(cron.CronError, match=f"^{field}: ") as caught:
        cron.parse(expression)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("", "five fields .* not 0"),
        ("* * * *", "five fields .* not 4"),
        ("* * * * * *", "five fields .* not 6"),
        ("tomorrow", "five fields .* not 1"),
        ("@reboot", "not one of @yearly"),
        ("@every 5m", "not one of @yearly"),
        ("0 0 31 2 *", "never fires"),
        ("0 0 30-31 feb *", "never fires"),
        ("0 0 31 4,6,9,11 *", "never fires"),
        ("0 0 */3 2 1#5", "never fires"),
    ],
)
def test_parse_refuses_an_invalid_expression(expression: str, said: str) -> None:
    with pytest.raises(cron.CronError, match=said) as caught:
        cron.parse(expression)
    assert caught.value.field is None


@pytest.mark.parametrize(
    "zone",
    ["", "Mars/Olympus", "America", "../UTC", "/etc/localtime", "localtime", "Factory", "a\0b"],
)
def test_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(cron.ZoneError, match="not an IANA time zone"):
        cron.check_zone(zone)
    with pytest.raises(cron.ZoneError):
        cron.next_after("* * * * *", zone, 0)


def test_similar_zone_is_suggested() -> None:
    with pytest.raises(cron.ZoneError, match=r"did you mean Europe/Berlin\?"):
        cron.check_zone("europe/berlin")


def test_next_after_refuses_an_invalid_expression() -> None:
    with pytest.raises(cron.CronError):
        cron.next_after("61 * * * *", "UTC", 0)
