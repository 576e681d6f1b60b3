"""The page that we write is the page that Prometheus reads: judged by the parser of its own library."""

import math

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from gateway.metrics.text import Family, one, page, states

NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,20}", fullmatch=True)
TEXTS = st.text(max_size=30)
LABELS = st.dictionaries(st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True), TEXTS, max_size=3)
NUMBERS = st.one_of(st.floats(), st.integers(-(2**53), 2**53), st.booleans())
ABOUT = st.text(max_size=30).map(lambda text: text.replace("\r", "").strip())


@given(
    name=NAMES,
    about=ABOUT,
    samples=st.lists(st.tuples(LABELS, NUMBERS), min_size=1, max_size=4, unique_by=lambda one: str(one[0])),
)
def test_whatever_is_written_is_read_as_it_was_meant(
    name: str, about: str, samples: list[tuple[dict[str, str], float]]
) -> None:
    text = page([Family(name, "gauge", about, samples)])

    [family] = text_string_to_metric_families(text)
    assert (family.name, family.type) == (name, "gauge")
    assert family.documentation == about
    for sample, (labels, value) in zip(family.samples, samples, strict=True):
        assert sample.labels == labels
        assert sample.value == value or (math.isnan(sample.value) and math.isnan(value))


def test_the_page_is_text_of_version_0_0_4() -> None:
    labels = {"source": 'a "b" \\ c\nd'}
    families = [
        Family("readings_total", "counter", "Made\nhere \\ there.", [(labels, 3), ({}, 0.5)]),
        one("unknown", "Not there.", None),
        one("state", "Yes.", value=True),
        one("far", "Far.", value=-math.inf),
    ]

    assert page(families) == (
        "# HELP readings_total Made\\nhere \\\\ there.\n"
        "# TYPE readings_total counter\n"
        'readings_total{source="a \\"b\\" \\\\ c\\nd"} 3\n'
        "readings_total 0.5\n"
        "# HELP state Yes.\n# TYPE state gauge\nstate 1\n"
        "# HELP far Far.\n# TYPE far gauge\nfar -Inf\n"
    )


def test_a_state_is_one_sample_for_each_that_there_is() -> None:
    assert states({"source": "plant"}, "lost", ["connected", "lost"]) == [
        ({"source": "plant", "state": "connected"}, 0.0),
        ({"source": "plant", "state": "lost"}, 1.0),
    ]
