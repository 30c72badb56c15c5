"""The Prometheus text of one pod made into a sample."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from moorage_operator.signals.profiles import MetricProfile
from moorage_policies.errors import UnavailableError
from moorage_policies.scaling.samples import Buckets, PodSample

_SUFFIXES = ("_bucket", "_sum", "_count", "_total", "_created")


def read_exposition(text: str, uid: str, at_s: float, profile: MetricProfile) -> PodSample:
    """Return the sample of a pod; several series of one name are summed.

    Raises:
        UnavailableError: the text is not what Prometheus' format says.
    """
    values: defaultdict[str, float] = defaultdict(float)
    buckets: defaultdict[str, defaultdict[float, float]] = defaultdict(lambda: defaultdict(float))
    try:
        for family in text_string_to_metric_families(_only_wanted(text, profile)):
            for sample in family.samples:
                if sample.name.endswith("_bucket") and "le" in sample.labels:
                    name = sample.name.removesuffix("_bucket")
                    buckets[name][float(sample.labels["le"])] += sample.value
                else:
                    values[sample.name] += sample.value
    except (ValueError, KeyError, IndexError) as error:
        raise UnavailableError(f"its metrics cannot be parsed: {error}") from error
    return make_sample(uid, at_s, values, buckets, profile)


def make_sample(
    uid: str,
    at_s: float,
    values: Mapping[str, float],
    buckets: Mapping[str, Mapping[float, float]],
    profile: MetricProfile,
) -> PodSample:
    """Return the sample of a pod from its numbers by the engine's names."""
    return PodSample(
        uid,
        at_s,
        {
            ours: values[name]
            for ours, names in profile.values.items()
            for name in names
            if name in values and name == _first(names, values)
        },
        {
            ours: _to_buckets(buckets[name])
            for ours, names in profile.histograms.items()
            if (name := _first(names, buckets))
        },
    )


def _first(names: tuple[str, ...], found: object) -> str:
    return next((name for name in names if name in found), "")  # type: ignore[operator]


def _to_buckets(counts: Mapping[float, float]) -> Buckets:
    return tuple(sorted(counts.items()))


def _only_wanted(text: str, profile: MetricProfile) -> str:
    """Return the lines of the profile's metrics: engines show hundreds of others."""
    bases = set(profile.names)
    for name in profile.names:
        bases |= {name + suffix for suffix in _SUFFIXES}
        bases |= {name.removesuffix(suffix) for suffix in _SUFFIXES}
    kept = [line for line in text.splitlines() if _name_of(line) in bases]
    return "\n".join(kept) + "\n"


def _name_of(line: str) -> str:
    if line.startswith("# TYPE "):
        return line.split(" ", 3)[2]
    end = min((at for at in (line.find("{"), line.find(" ")) if at >= 0), default=len(line))
    return line[:end]
