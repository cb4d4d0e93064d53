"""The line through a curve tells a leak from noise."""

from pathlib import Path

import pytest

from soak.growth import Curve, fit, growing
from soak.picture import draw


def make_curve(*values: float, slack: float = 0.0) -> Curve:
    points = [(float(second), value) for second, value in enumerate(values)]
    return Curve("memory", "MB", most=0.1, slack=slack, points=points)


def test_a_curve_that_grows_in_its_second_half_is_reported() -> None:
    leak = make_curve(*([100.0] * 100), *(100 + n / 5 for n in range(100)))
    (found,) = growing([leak, make_curve(*[100.0] * 50)])
    assert found.startswith("memory: GROWS; mean 109.9 MB, change +19.8 MB in 99 s")


def test_growth_before_half_of_the_time_is_no_leak() -> None:
    assert not growing([make_curve(*(n for n in range(100)), *([100.0] * 101))])


def test_noise_is_no_leak() -> None:
    assert not growing([make_curve(*(100 + (-1) ** n * 30 for n in range(200)))])


@pytest.mark.parametrize(("slack", "is_flat"), [(4, True), (2, False)])
def test_growth_within_the_slack_is_allowed(slack: float, is_flat: bool) -> None:
    curve = make_curve(*[1.0] * 100, *(1 + n * 3 / 99 for n in range(100)), slack=slack)
    assert fit(curve).is_flat is is_flat


def test_the_picture_shows_every_curve(tmp_path: Path) -> None:
    picture = tmp_path / "soak.svg"
    draw([make_curve(1, 2, 3), make_curve(0, 0, 0)], "a < b", picture)
    text = picture.read_text()
    assert text.count("memory: ") == 2
    assert "a &lt; b" in text
