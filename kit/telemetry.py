"""Figures for Prometheus, cheap to keep: a request costs a dictionary look-up and three additions; the rest is done when asked.

No label holds an id, and each has few values: route templates, methods, status codes, states.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

_log = logging.getLogger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Upper bounds of the latency histogram, in seconds."""

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


class Requests(Collector):
    """Counts and latencies of requests by method, route and status. ``observe`` belongs to one thread: that of the event loop."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str, int], list[float]] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request. ``route`` is the template, not the path."""
        key = (method, route, status)
        counts = self._seen.get(key)
        if counts is None:
            counts = self._seen[key] = [0.0] * (len(BOUNDS) + 2)
        counts[bisect_left(BOUNDS, seconds)] += 1
        counts[-1] += seconds

    def collect(self) -> Iterable[Metric]:
        requests = HistogramMetricFamily(
            "c360_http_request_seconds",
            "Time from a request's arrival to the end of its answer.",
            labels=["method", "route", "status"],
        )
        for (method, route, status), counts in list(self._seen.items()):
            cumulated = list(accumulate(counts[:-1]))
            buckets = [(str(bound), count) for bound, count in zip((*BOUNDS, "+Inf"), cumulated, strict=True)]
            requests.add_metric([_known(method), route, str(status)], buckets, counts[-1])
        yield requests


class Figures(Collector):
    """Figures that are looked up when they are asked for. One that fails says so in ``c360_figures_failed`` and keeps no other back."""

    def __init__(self) -> None:
        self._sources: dict[str, Callable[[], Iterable[Metric]]] = {}

    def add(self, name: str, source: Callable[[], Iterable[Metric]]) -> None:
        """``source`` is called at every scrape; it may take its time."""
        self._sources[name] = source

    def collect(self) -> Iterator[Metric]:
        failed = GaugeMetricFamily("c360_figures_failed", "1 where figures could not be had.", labels=["of"])
        for name, source in self._sources.items():
            try:
                yield from list(source())
                failed.add_metric([name], 0)
            except Exception as failure:  # noqa: BLE001 - monitoring must go on when what it looks at does not
                _log.warning("no figures of %s (%s)", name, type(failure).__name__)
                failed.add_metric([name], 1)
        yield failed


class Telemetry:
    """All figures of a process. A registry of its own: several applications in one process do not mix."""

    def __init__(self) -> None:
        self.requests = Requests()
        self.figures = Figures()
        self._registry = CollectorRegistry()
        self._registry.register(self.requests)
        self._registry.register(self.figures)

    def render(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self._registry)


def gauge(name: str, says: str, value: float) -> Metric:
    """One figure as it is now."""
    return GaugeMetricFamily(name, says, value=value)


def gauges(name: str, says: str, label: str, values: Mapping[str, float]) -> Metric:
    """One figure per value of a label."""
    family = GaugeMetricFamily(name, says, labels=[label])
    for of, value in values.items():
        family.add_metric([of], value)
    return family


def counter(name: str, says: str, value: float) -> Metric:
    """What has been counted since the process began."""
    return CounterMetricFamily(name, says, value=value)


def _known(method: str) -> str:
    return method if method in _METHODS else "other"
