"""Draws curves as an SVG file, one strip for each, over the same time."""

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from soak.growth import Curve, fit, sentence

_WIDTH, _HEIGHT, _LEFT, _TOP = 760, 110, 50, 30
_STRIP = _HEIGHT + _TOP + 20


def draw(curves: Sequence[Curve], title: str, path: Path) -> None:
    """Write the picture. Each strip begins at zero; a dashed line is the fit of the second half."""
    size = (_LEFT + _WIDTH + 20, _STRIP * len(curves) + _TOP)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{_LEFT}" y="18" font-size="14">{escape(title)}</text>',
    ]
    for number, curve in enumerate(curves):
        lines += _strip(curve, _TOP + number * _STRIP)
    path.write_text("\n".join([*lines, "</svg>"]) + "\n", encoding="utf-8")


def _strip(curve: Curve, top: int) -> list[str]:
    end = curve.points[-1][0] or 1.0
    high = max(value for _, value in curve.points) * 1.05 or 1.0
    floor = top + _TOP + _HEIGHT

    def at(seconds: float, value: float) -> str:
        return f"{_LEFT + seconds / end * _WIDTH:.1f},{floor - value / high * _HEIGHT:.1f}"

    line = fit(curve)
    first, last = curve.second_half[0][0], curve.second_half[-1][0]
    fitted = (
        at(first, line.mean - line.growth / 2),
        at(last, line.mean + line.growth / 2),
    )
    points = " ".join(at(*point) for point in curve.points)
    return [
        f'<text x="{_LEFT}" y="{top + 22}">{escape(sentence(curve))}</text>',
        f'<text x="{_LEFT - 4}" y="{top + _TOP + 10}" text-anchor="end">{high:.3g}</text>',
        f'<text x="{_LEFT - 4}" y="{floor}" text-anchor="end">0</text>',
        f'<text x="{_LEFT + _WIDTH}" y="{floor + 14}" text-anchor="end">{end:.0f} s</text>',
        f'<path d="M{_LEFT} {top + _TOP}V{floor}H{_LEFT + _WIDTH}" fill="none" stroke="gray"/>',
        f'<polyline points="{points}" fill="none" stroke="steelblue"/>',
        f'<polyline points="{" ".join(fitted)}" fill="none" stroke="crimson" '
        'stroke-dasharray="6 4" stroke-width="2"/>',
    ]
