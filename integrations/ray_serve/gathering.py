"""The metrics of all replicas as those of one server: each sample names the replica that told it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from ig_guardrail.integrations.openai_server.observing.metrics import PREFIX

REPLICA = "replica"  # the label
COUNT = f"{PREFIX}_replicas"


class Gathered(Collector):
    """What replicas told, by their names."""

    def __init__(self, told: Mapping[str, Sequence[Metric]]) -> None:
        self._told = told

    @override
    def collect(self) -> Iterator[Metric]:
        """Each metric once, with the samples of all, and how many replicas told."""
        found: dict[str, Metric] = {}
        for replica, metrics in sorted(self._told.items()):
            for metric in metrics:
                whole = Metric(metric.name, metric.documentation, metric.type, metric.unit)
                samples = found.setdefault(metric.name, whole).samples
                samples += [one._replace(labels={**one.labels, REPLICA: replica}) for one in metric.samples]
        yield GaugeMetricFamily(COUNT, "Replicas that told their metrics.", len(self._told))
        yield from found.values()


def registry_of(told: Mapping[str, Sequence[Metric]]) -> CollectorRegistry:
    """A registry that tells what replicas told."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Gathered(told))
    return registry
