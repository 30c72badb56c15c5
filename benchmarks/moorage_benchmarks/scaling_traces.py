"""Requests to replay: given files, or the slices that come with the package."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from moorage_policies.errors import BadInputError
from moorage_policies.types import FloatArray

WINDOW_S = 600.0
OTHERS = "-1"
OUTPUT_LIMIT = 32_768.0
Rows = Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Trace:
    """Requests in the order of arrival.

    Args:
        name: for the table.
        arrival_s: seconds from the start, ascending, shape ``(requests,)``.
        prompt_tokens: tokens of the prompt that no cache holds.
        context_tokens: all tokens of the prompt.
        output_tokens: tokens to decode, at least 1.
        classes: class of each request, empty where the file names none.
        end_s: length of the trace.
    """

    name: str
    arrival_s: FloatArray
    prompt_tokens: FloatArray
    context_tokens: FloatArray
    output_tokens: FloatArray
    end_s: float
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.arrival_s)

    def between(self, start_s: float, end_s: float) -> Trace:
        """Return the part of the trace, its clock set to 0 at the start."""
        a, b = np.searchsorted(self.arrival_s, (start_s, end_s))
        return Trace(
            self.name,
            self.arrival_s[a:b] - start_s,
            self.prompt_tokens[a:b],
            self.context_tokens[a:b],
            self.output_tokens[a:b],
            min(end_s, self.end_s) - start_s,
            self.classes[a:b],
        )


def read_trace(path: Path, *, rate_per_s: float, hours: float, seed: int) -> Trace:
    """Return the requests of a file.

    Three forms are told apart by their header: requests as ``arrival_s, prompt_tokens,
    output_tokens`` with optional ``cached_tokens`` and ``class``; the published request traces
    (``t_s, context_tokens, generated_tokens`` with optional ``prefix_tokens_reusable``); rates by
    client and window (``t_s, client, rate_rps, cv``), beside which a file of token statistics lies
    under the same name with ``tokens`` for ``rates``.

    Args:
        path: a CSV file, gzipped or not.
        rate_per_s: mean rate to which rates by client are thinned.
        hours: length of the part that is made of rates by client, the last one.
        seed: of the requests that are made of rates.

    Raises:
        BadInputError: the file cannot be read as any of these.
    """
    rows = _read(path)
    header = set(rows[0]) if rows else set()
    name = path.name.partition(".")[0]
    if {"t_s", "client", "rate_rps"} <= header:
        return _from_rates(name, rows, _read(_tokens_beside(path)), rate_per_s, hours, seed)
    if {"arrival_s", "prompt_tokens", "output_tokens"} <= header:
        return _from_requests(name, rows, ("arrival_s", "prompt_tokens", "output_tokens"))
    if {"t_s", "context_tokens", "generated_tokens"} <= header:
        return _from_requests(name, rows, ("t_s", "context_tokens", "generated_tokens"))
    raise BadInputError(
        "has none of the known headers; write arrival_s,prompt_tokens,output_tokens,class",
        field=str(path),
    )


def _read(path: Path) -> list[dict[str, str]]:
    try:
        with (
            gzip.open(path, "rt", newline="")
            if path.suffix == ".gz"
            else path.open(newline="") as f
        ):
            return list(csv.DictReader(f))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInputError(
            f"cannot be read ({error}); give a CSV file", field=str(path)
        ) from error


def _tokens_beside(path: Path) -> Path:
    if "rates" not in path.name:
        raise BadInputError(
            "has rates by client; name it *_rates_* and put *_tokens_* beside it", field=str(path)
        )
    return path.with_name(path.name.replace("rates", "tokens"))


def _from_requests(name: str, rows: Rows, columns: tuple[str, str, str]) -> Trace:
    def column(field: str, rows: Rows = rows) -> FloatArray:
        try:
            values = np.array([float(row[field] or 0.0) for row in rows])
        except (TypeError, ValueError) as error:
            raise BadInputError(f"has a value that is no number ({error})", field=field) from error
        if not np.isfinite(values).all() or (values < 0.0).any():
            raise BadInputError("has values that are negative or no numbers", field=field)
        return values

    arrival_s, context, output = (column(field) for field in columns)
    cached = next((c for c in ("cached_tokens", "prefix_tokens_reusable") if c in rows[0]), None)
    order = np.argsort(arrival_s, kind="stable")
    arrival_s = arrival_s[order] - arrival_s[order[0]]
    missed = context - (np.minimum(column(cached), context) if cached else 0.0)
    named = "class" in rows[0]
    return Trace(
        name,
        arrival_s,
        np.maximum(missed, 1.0)[order],
        np.maximum(context, 1.0)[order],
        np.clip(output, 1.0, OUTPUT_LIMIT)[order],
        float(arrival_s[-1]) + 1.0,
        tuple(str(rows[place]["class"]) for place in order) if named else (),
    )


def _from_rates(
    name: str, rates: Rows, tokens: Rows, rate_per_s: float, hours: float, seed: int
) -> Trace:
    """Return requests whose rates run straight from the middle of one window to the next."""
    rng = np.random.default_rng(seed)
    by_client: defaultdict[str, dict[float, float]] = defaultdict(dict)
    spread: defaultdict[str, list[float]] = defaultdict(list)
    for row in rates:
        by_client[row["client"]][float(row["t_s"])] = float(row["rate_rps"])
        if row.get("cv"):
            spread[row["client"]].append(float(row["cv"]))
    windows = sorted({t for held in by_client.values() for t in held})
    end_s = windows[-1] + WINDOW_S
    start_s = max(windows[0], end_s - hours * 3600.0)
    grid_s = np.arange(start_s, end_s + WINDOW_S, WINDOW_S)
    curves = {
        client: np.interp(
            grid_s, np.array(windows) + WINDOW_S / 2, [held.get(t, 0.0) for t in windows]
        )
        for client, held in by_client.items()
    }
    mean = float(np.mean(sum(curves.values())))
    thin = min(1.0, rate_per_s / mean)
    sizes = _Sizes(tokens)
    parts = []
    for client, curve in sorted(curves.items()):
        cv = float(np.mean(spread[client])) if spread[client] else 1.0
        arrival_s = _renewals(grid_s - start_s, curve * thin, cv, rng)
        parts.append((arrival_s, *sizes.draw(client, arrival_s + start_s, rng)))
    arrivals = np.concatenate([part[0] for part in parts])
    order = np.argsort(arrivals, kind="stable")
    prompt = np.concatenate([part[1] for part in parts])[order]
    output = np.concatenate([part[2] for part in parts])[order]
    return Trace(name, arrivals[order], prompt, prompt, output, end_s - start_s)


def _renewals(
    grid_s: FloatArray, rate: FloatArray, cv: float, rng: np.random.Generator
) -> FloatArray:
    """Return arrivals of a gamma renewal process whose clock runs with the rate."""
    steps = np.diff(grid_s) * (rate[1:] + rate[:-1]) / 2
    clock = np.concatenate(([0.0], np.cumsum(steps)))
    total = clock[-1]
    if total <= 0.0:
        return np.empty(0)
    cv = min(max(cv, 0.2), 5.0)
    count = int(total + 6.0 * cv * np.sqrt(total) + 10)
    marks = np.cumsum(rng.gamma(1.0 / cv**2, cv**2, count))
    marks = marks[marks < total]
    clock += np.arange(len(clock)) * 1e-12  # np.interp wants it to grow
    arrivals: FloatArray = np.interp(marks, clock, grid_s)
    return arrivals


class _Sizes:
    """Lengths of prompts and outputs by client and time, log-normal from median and mean."""

    def __init__(self, rows: Rows) -> None:
        usable = [row for row in rows if row.get("in_mean") and row.get("out_mean")]
        if not usable:
            raise BadInputError("has no token statistics", field="tokens")
        self._of: defaultdict[str, list[tuple[float, Mapping[str, str]]]] = defaultdict(list)
        for row in usable:
            self._of[row["client"]].append((float(row["t_s"]), row))
        self._all = usable

    def draw(
        self, client: str, at_s: FloatArray, rng: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        """Return prompt and output lengths of requests at these times."""
        prompt, output = np.empty(len(at_s)), np.empty(len(at_s))
        held = self._of.get(client)
        if held is None:  # of a client without statistics: those of all, request by request
            pick = rng.integers(len(self._all), size=len(at_s))
            for place in np.unique(pick):
                self._fill(self._all[place], pick == place, prompt, output, rng)
            return prompt, output
        starts = np.array([t for t, _ in held])
        pick = np.clip(np.searchsorted(starts, at_s, side="right") - 1, 0, None)
        for place in np.unique(pick):
            self._fill(held[place][1], pick == place, prompt, output, rng)
        return prompt, output

    def _fill(
        self,
        row: Mapping[str, str],
        where: np.ndarray[tuple[int], np.dtype[np.bool_]],
        prompt: FloatArray,
        output: FloatArray,
        rng: np.random.Generator,
    ) -> None:
        for side, into in (("in", prompt), ("out", output)):
            into[where] = _lengths(row, side, int(where.sum()), rng)


def _lengths(row: Mapping[str, str], side: str, count: int, rng: np.random.Generator) -> FloatArray:
    mean, middle = float(row[f"{side}_mean"]), float(row[f"{side}_p50"])
    most = max(2.0 * float(row[f"{side}_p99"]), 2.0)
    middle = min(max(middle, 1.0), max(mean, 1.0))
    sigma = min(2.0, np.sqrt(2.0 * np.log(max(mean, 1.0) / middle)))
    return np.clip(np.round(rng.lognormal(np.log(middle), sigma, count)), 1.0, most)
