"""Two histograms add up to the histogram of all their samples, and a percentile is at most 5 % off."""

import math

from hypothesis import given
from hypothesis import strategies as st

from app.domain.histogram import Histogram

took = st.floats(1.0, 120_000.0)
samples = st.lists(took, min_size=1, max_size=300)


def a_histogram(samples: list[float]) -> Histogram:
    histogram = Histogram()
    for sample in samples:
        histogram.add(sample)
    return histogram


@given(st.lists(samples, max_size=4))
def test_merging_gives_the_histogram_of_all_samples(parts: list[list[float]]) -> None:
    merged = Histogram.merged(a_histogram(part) for part in parts)
    whole = a_histogram([sample for part in parts for sample in part])
    assert merged.counts == whole.counts
    assert merged.count == sum(map(len, parts))


@given(samples, samples)
def test_merging_leaves_both_as_they_were(some: list[float], others: list[float]) -> None:
    a, b = a_histogram(some), a_histogram(others)
    a.merge(b)
    assert (a.counts, b.counts) == (a_histogram(some).counts, a_histogram(others).counts)


@given(samples, st.integers(1, 100))
def test_a_percentile_is_at_most_five_per_cent_off(samples: list[float], percent: int) -> None:
    exact = sorted(samples)[math.ceil(len(samples) * percent / 100) - 1]
    read = a_histogram(samples).percentile(percent)
    assert read is not None
    assert abs(read - exact) <= 0.05 * exact


@given(samples)
def test_percentiles_grow_with_the_percentage(samples: list[float]) -> None:
    histogram = a_histogram(samples)
    read = [histogram.percentile(percent) or 0 for percent in (0, 1, 50, 95, 99, 99.9, 100)]
    assert read == sorted(read)


@given(st.floats(-1e9, 1e300))
def test_whatever_is_measured_finds_a_bucket(took: float) -> None:
    assert sum(a_histogram([took]).counts.values()) == 1


def test_without_samples_there_is_no_percentile() -> None:
    assert Histogram().percentile(50) is None


def test_a_sample_counted_three_times_is_three_samples() -> None:
    histogram = Histogram()
    histogram.add(10.0, times=3)
    assert histogram.counts == a_histogram([10.0] * 3).counts
