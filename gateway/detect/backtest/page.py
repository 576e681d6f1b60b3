"""A page that needs nothing but itself: the drawing, and a table of what was flagged."""

from collections.abc import Iterator
from html import escape

from gateway.detect.backtest.judging import Flag, Judging
from gateway.detect.backtest.labels import Verdict
from gateway.detect.backtest.report import facts, lasted, moment, owner
from gateway.terminal import plain

_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1300px; padding: 0 1em; color: #222; background: #fff; }}
h1 {{ font-size: 1.4em; }}
svg {{ width: 100%; height: auto; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; vertical-align: top; padding: .3em .8em .3em 0; border-bottom: 1px solid #ddd; }}
td.n {{ text-align: right; color: #777; }}
td.t {{ white-space: nowrap; }}
.alarm {{ color: #c62828; font-weight: 600; }}
.advisory {{ color: #b26a00; font-weight: 600; }}
</style>
</head>
<body>
"""


def page(name: str, judged: Judging, verdict: Verdict | None, seconds: float, drawing: str) -> str:
    """The whole file. `drawing` is an element; all else is escaped here."""
    title = f"What gateway-detect would have flagged in {name}"
    return "".join(_lines(title, name, judged, verdict, seconds, drawing))


def _lines(
    title: str, name: str, judged: Judging, verdict: Verdict | None, seconds: float, drawing: str
) -> Iterator[str]:
    yield _HEAD.format(title=_text(title))
    yield f"<h1>{_text(title)}</h1>\n"
    for line in facts(name, judged, verdict, seconds):
        yield (
            f"<p>{_text(line)}</p>\n"
            if not line.startswith("  ")
            else f"<p>&emsp;{_text(line.strip())}</p>\n"
        )
    yield drawing
    if not judged.flags:
        yield "<p>Nothing would have been flagged.</p>\n"
    else:
        yield "<table>\n<tr><th>#</th><th>raised (UTC)</th><th>for</th><th>sensor</th><th>rule</th><th>grade</th><th>what</th></tr>\n"
        for number, flag in enumerate(judged.flags, 1):
            yield _row(number, flag)
        yield "</table>\n"
    if judged.left_out:
        yield f"<p>and {judged.left_out} more that are not listed.</p>\n"
    yield "</body>\n</html>\n"


def _row(number: int, flag: Flag) -> str:
    raised = flag.raised
    what = _text(raised.sentence)
    if flag.worst is not raised:
        what += f"<br>at worst: {_text(flag.worst.sentence)}"
    if flag.cleared is not None:
        what += f"<br>cleared: {_text(flag.cleared.sentence)}"
    return (
        f'<tr><td class="n">{number}</td><td class="t">{_text(moment(raised.time))}</td>'
        f'<td class="t">{_text(lasted(flag))}</td><td>{_text(owner(raised))}</td><td>{_text(raised.rule)}</td>'
        f'<td class="{_text(raised.grade)}">{_text(raised.grade)}</td><td>{what}</td></tr>\n'
    )


def _text(text: str) -> str:
    return escape(plain(text))
