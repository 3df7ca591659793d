"""The server's own counters over a run, from its Prometheus page."""

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from loadtest.pages import fetch
from service.client.credentials import NOTHING, Credentials

_COUNTED = ("_total", "_sum", "_count")
_OF_PYTHON = ("python_", "process_")


async def scrape(url: str, credentials: Credentials = NOTHING) -> dict[str, float]:
    """Every counter by its name and labels; empty when there is no such page."""
    try:
        return read_counters((await fetch(url, credentials)).decode())
    except (OSError, ValueError):
        return {}


def read_counters(page: str) -> dict[str, float]:
    """Counters, and the sums and counts of histograms.

    >>> read_counters('# TYPE a counter\\na_total{b="c"} 3\\n# TYPE d gauge\\nd 4\\n')
    {'a_total{b="c"}': 3.0}
    """
    return {
        _name(sample.name, sample.labels): float(sample.value)
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name.endswith(_COUNTED) and not sample.name.startswith(_OF_PYTHON)
    }


def subtract(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """What was counted between two looks, without what stayed.

    >>> subtract({"a": 1, "b": 2}, {"a": 1, "b": 5, "c": 1})
    {'b': 3, 'c': 1}
    """
    grown = {name: value - before.get(name, 0) for name, value in after.items()}
    return {name: growth for name, growth in grown.items() if growth}


def _name(name: str, labels: Mapping[str, str]) -> str:
    inside = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    return f"{name}{{{inside}}}" if inside else name
