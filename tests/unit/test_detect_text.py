import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.detect.text import counted, duration, quantity, share, share_before, sigmas, spread

finite = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (82.1, "°C", "82.1 °C"),
        (80.0, "%", "80 %"),
        (42, "", "42"),
        (-0.0, "V", "0 V"),
        (21.100000381469727, "°C", "21.10000038 °C"),
        (0.1 + 0.2, "V", "0.3 V"),
        (1.0, "x" * 33, "1"),
        (1.0, "°C\nlevel=error", "1"),
    ],
)
def test_a_quantity_is_short_and_shows_no_strange_unit(value: float, unit: str, text: str) -> None:
    assert quantity(value, unit) == text


def test_digits_are_kept_where_rounding_would_make_the_sentence_untrue() -> None:
    assert quantity(80.00000000000001, "°C", 80.0) == "80.00000000000001 °C"


@given(finite, finite)
def test_a_shown_number_is_on_the_same_side_of_the_one_beside_it(value: float, beside: float) -> None:
    shown = float(quantity(value, "", beside))

    assert (shown > beside, shown < beside) == (value > beside, value < beside)


@pytest.mark.parametrize(
    ("mean", "scale", "text"),
    [
        (21.0312, 0.4046, "21.03 ± 0.40 °C"),
        (1013.25, 251.3, "1013 ± 251 °C"),
        (0.0, 1e-30, "0 ± 1e-30 °C"),
        (1e20, 1e19, "1e+20 ± 1e+19 °C"),
        (-0.0012, 0.1, "0.00 ± 0.10 °C"),
    ],
)
def test_a_mean_is_shown_to_the_second_digit_of_its_scale(mean: float, scale: float, text: str) -> None:
    assert spread(mean, scale, "°C") == text


@given(st.floats(-1e150, 1e150), st.floats(1e-150, 1e150))
def test_every_mean_and_scale_can_be_shown(mean: float, scale: float) -> None:
    shown_mean, shown_scale = spread(mean, scale, "").split(" ± ")

    assert float(shown_scale) == pytest.approx(scale, rel=0.06)
    assert float(shown_mean) == pytest.approx(mean, rel=1e-5, abs=scale * 0.06)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-0.1, "an unknown time (the clock was set back)"),
        (0, "0 s"),
        (1e-6, "less than 1 ms"),
        (0.02, "20 ms"),
        (0.25, "0.2 s"),
        (2.5, "2.5 s"),
        (35, "35 s"),
        (119, "119 s"),
        (1500, "25 min"),
        (50_400, "14 h"),
        (400_000, "5 days"),
    ],
)
def test_a_duration_is_in_the_unit_that_suits_it(seconds: float, text: str) -> None:
    assert duration(round(seconds * 1e9)) == text


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (0.494, "49.4 % of it"),
        (9.99, "999 % of it"),
        (9.999, "10 times its width"),
        (59.5, "59.5 times its width"),
        (1234.0, "1234 times its width"),
        (1e9, "1e+09 times its width"),
    ],
)
def test_what_is_many_times_as_wide_as_a_range_is_told_as_such(part: float, text: str) -> None:
    assert share(part) == text
    assert text.startswith(share_before(part))


def test_a_score_that_is_huge_stays_short() -> None:
    assert (sigmas(8.25), sigmas(1e120)) == ("8.2 sigma", "1e+120 sigma")


def test_what_is_counted_is_one_or_many() -> None:
    assert [counted(count, "row") for count in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]
    assert [counted(count, "anomaly", "anomalies") for count in (1, 2)] == ["1 anomaly", "2 anomalies"]
