"""What /metrics shows. Every room of the server may count here.

Workers have no port of their own; what they counted arrives with their beats, and is shown while they are
heard.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from app.domain.events import STARTED_WITHIN, Beat

REGISTRY = CollectorRegistry()

PROCESS = Gauge(
    "statuswire_process",
    "Which of the server's processes answers, counted from 1; 0 if there is only one.",
    registry=REGISTRY,
)
FEED_UP = Gauge("statuswire_feed_up", "1 while the hub hears the feed.", registry=REGISTRY)
FEED_LAG = Gauge(
    "statuswire_feed_lag_seconds", "Age of the newest event when the hub folded it.", registry=REGISTRY
)
EVENTS = Counter("statuswire_events_total", "Events folded by the hub.", ["kind"], registry=REGISTRY)
GAPS = Counter("statuswire_feed_gaps_total", "Holes in the log that could not be filled.", registry=REGISTRY)
RECORDER_LAG = Gauge(
    "statuswire_recorder_lag_seconds", "How far the database is behind the feed.", registry=REGISTRY
)
RECORDER_UP = Gauge("statuswire_recorder_up", "1 while the recorder can write.", registry=REGISTRY)
UNTOLD = Gauge(
    "statuswire_untold",
    "Changes of operators that are stored and not yet told, up to 100.",
    registry=REGISTRY,
)
VIEWERS = Gauge("statuswire_viewers", "Open streams.", ["kind"], registry=REGISTRY)
FRAMES = Counter("statuswire_frames_total", "Frames encoded for an audience.", ["type"], registry=REGISTRY)
RESUMES = Counter(
    "statuswire_resumes_total",
    "How a stream began: replayed, or a snapshot and why.",
    ["how"],
    registry=REGISTRY,
)
SLOW_VIEWERS = Counter(
    "statuswire_slow_viewers_total",
    "Streams that fell behind: given one snapshot, or cut.",
    ["end"],
    registry=REGISTRY,
)
TURNED_AWAY = Counter(
    "statuswire_turned_away_total",
    "Connections cut at once because their address had too many open that were no streams.",
    registry=REGISTRY,
)
KEPT_ANSWERS = Gauge(
    "statuswire_kept_answers", "Answers of pages that are kept to be given again.", registry=REGISTRY
)
KEPT_BYTES = Gauge("statuswire_kept_bytes", "How large those are together.", registry=REGISTRY)
KEPT_GIVEN = Counter(
    "statuswire_kept_given_total", "Requests for pages that were given a kept answer.", registry=REGISTRY
)
CROWDED = Counter(
    "statuswire_crowded_total",
    "Streams that were not opened, by the limit that stood against it; see docs/PUSH.md.",
    ["limit"],
    registry=REGISTRY,
)
CAST_HOLD = Histogram(
    "statuswire_cast_hold_seconds",
    "For how long a cast to many held the event loop before it gave way to others.",
    buckets=(0.001, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1),
    registry=REGISTRY,
)
PROBE_TO_PUSH = Histogram(
    "statuswire_probe_to_push_seconds",
    "From the worker having an answer to the frame leaving the hub.",
    buckets=(0.001, 0.002, 0.003, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
CONFIG_OK = Gauge("statuswire_config_ok", "0 while the config file on disk is a bad one.", registry=REGISTRY)


class WorkersHeard(Collector):
    """The last beat of each worker. Read when asked for: a worker that restarts has a new name, and gauges
    with labels would keep the old ones for ever."""

    def __init__(self) -> None:
        self.beats: Callable[[], Iterable[Beat]] = tuple

    def collect(self) -> Iterator[Metric]:
        probes = GaugeMetricFamily(
            "statuswire_worker_probes",
            "Probes since the worker started, by outcome.",
            labels=["worker", "region", "outcome"],
        )
        figures = {
            "monitors": "Monitors the worker probes.",
            "lag": "Seconds the latest probe started after it was due, since the last beat.",
            "missed": "Slots in which nobody looked, because the look before was not over.",
            "late": "Measurements that are left out of percentiles, because the worker itself was slow.",
            "waiting": "Events the worker has not yet been able to announce.",
            "dropped": "Measurements the worker had to let go.",
        }
        families = {
            name: GaugeMetricFamily(f"statuswire_worker_{name}", text, labels=["worker", "region"])
            for name, text in figures.items()
        }
        fit = GaugeMetricFamily(
            "statuswire_worker_fit",
            "0 while what the worker cannot reach is no verdict, because of the worker itself.",
            labels=["worker", "region"],
        )
        starts = HistogramMetricFamily(
            "statuswire_worker_start_lag_seconds",
            "How long after they were due probes began, since the worker started.",
            labels=["worker", "region"],
        )
        for beat in self.beats():
            starts.add_metric([beat.worker, beat.region], _buckets(beat.starts), None)
            fit.add_metric([beat.worker, beat.region], not beat.trouble)
            for outcome, count in beat.probes.items():
                probes.add_metric([beat.worker, beat.region, outcome], count)
            for name, family in families.items():
                family.add_metric([beat.worker, beat.region], getattr(beat, name))
        yield probes
        yield fit
        yield starts
        yield from families.values()


def _buckets(starts: Sequence[int]) -> list[tuple[str, float]]:
    """As Prometheus has them: each with all that are in the ones before."""
    bounds = [*map(str, STARTED_WITHIN), "+Inf"]
    return list(zip(bounds, accumulate(starts or [0] * len(bounds)), strict=True))


WORKERS = WorkersHeard()
REGISTRY.register(WORKERS)
