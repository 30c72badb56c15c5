"""The simulated service against queueing formulas and conservation laws; traces; the protocol."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage_benchmarks import scaling
from moorage_benchmarks.report import OURS
from moorage_benchmarks.scaling_forecasts import foresee, measure_forecasts
from moorage_benchmarks.scaling_ours import Scripted, find_needs, plan_ahead
from moorage_benchmarks.scaling_peers import StaticPeak, UtilisationHpa
from moorage_benchmarks.scaling_profiles import Profile, load_profile, profile_names
from moorage_benchmarks.scaling_service import Played, Setting, Tick, simulate
from moorage_benchmarks.scaling_traces import Trace, read_trace
from moorage_policies.errors import BadInputError
from moorage_policies.scaling.sizing import mean_ttft_s
from moorage_policies.types import FloatArray

# a prompt token takes 1 ms; a decoding step takes 20 ms whatever the batch
PLAIN = Profile(
    "plain",
    1,
    np.array([0.0, 1000.0]),
    np.array([0.0, 1.0]),
    np.full(65, 0.02),
    max_batch=64,
    kv_tokens=1e9,
    kv_bytes_per_token=0.0,
)


def make_trace(arrival_s: FloatArray, prompt: FloatArray, output: FloatArray) -> Trace:
    end_s = float(arrival_s[-1]) + 1.0 if len(arrival_s) else 60.0
    return Trace("made", arrival_s, prompt, prompt, output, end_s)


def poisson(rate: float, count: int, seed: int = 1) -> FloatArray:
    return np.cumsum(np.random.default_rng(seed).exponential(1.0 / rate, count))


def play(trace: Trace, counts: tuple[int, int], profile: Profile = PLAIN) -> Played:
    return simulate(trace, StaticPeak(counts), Setting(profile, 0.0, counts))


@pytest.mark.parametrize("busy", [0.3, 0.6, 0.8])
def test_prompts_of_one_length_wait_as_m_d_1_says(busy: float) -> None:
    service_s, count = 0.1, 30_000
    trace = make_trace(poisson(busy / service_s, count), np.full(count, 100.0), np.full(count, 1.0))
    waited_s = play(trace, (1, 100)).wait_s.mean()
    assert waited_s + service_s == pytest.approx(mean_ttft_s(busy / service_s, service_s), rel=0.08)


def test_prompts_of_random_length_wait_as_m_m_1_says() -> None:
    count, busy = 40_000, 0.5
    prompt = np.random.default_rng(2).exponential(100.0, count)
    trace = make_trace(poisson(busy / 0.1, count), prompt, np.full(count, 1.0))
    # rho / (1 - rho) * service = 0.5 / 0.5 * 0.1
    assert play(trace, (1, 100)).wait_s.mean() == pytest.approx(0.1, rel=0.08)


def test_running_requests_obey_littles_law() -> None:
    seen: list[Tick] = []

    class Watching:
        def decide(self, tick: Tick) -> tuple[int, int]:
            seen.append(tick)
            return 4, 2

    count, rate = 6000, 5.0
    trace = make_trace(poisson(rate, count), np.full(count, 10.0), np.full(count, 100.0))
    simulate(trace, Watching(), Setting(PLAIN, 0.0, (4, 2)))
    # 5 requests a second stay 100 * 20 ms = 2 s: 10 at a time on 2 replicas
    running = np.mean([tick.batch * 2 for tick in seen[4:-20]])
    assert running == pytest.approx(10.0, rel=0.08)
    tokens = np.mean([tick.tokens for tick in seen[4:-20]])
    assert tokens == pytest.approx(rate * 100.0 * 15.0, rel=0.06)


class Wandering:
    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def decide(self, tick: Tick) -> tuple[int, int]:
        assert tick.kv_ratio <= 1.0 + 1e-9 or tick.ready[1] < tick.desired[1] or tick.leaving[1]
        return int(self._rng.integers(0, 5)), int(self._rng.integers(0, 5))


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.integers(1, 200), st.sampled_from([0.0, 30.0, 60.0]))
def test_requests_are_neither_lost_nor_made(seed: int, count: int, start_up_s: float) -> None:
    rng = np.random.default_rng(seed)
    trace = make_trace(
        np.sort(rng.uniform(0, 300, count)),
        rng.integers(1, 3000, count).astype(float),
        rng.integers(1, 500, count).astype(float),
    )
    profile = load_profile()
    played = simulate(trace, Wandering(seed), Setting(profile, start_up_s, (1, 1)))
    begun, ended = np.isfinite(played.start_s), np.isfinite(played.end_s)
    assert played.finished + played.in_flight == count
    assert played.finished == int(ended.sum())
    assert (played.start_s[begun] >= trace.arrival_s[begun] - 1e-6).all()
    assert (np.diff(played.start_s[begun]) >= -1e-6).all(), "first come, first served"
    prompt_s = profile.to_prefill_s(trace.prompt_tokens)
    assert (played.end_s[ended] >= (played.start_s + prompt_s)[ended] - 0.51).all()
    assert (played.itl_s[ended] >= profile.token_s[1] - 1e-6).all()
    assert not (played.good & ~ended).any()
    least = (played.ready.sum(axis=1) * 15.0 * profile.gpus).sum()
    assert played.paid_gpu_s.sum() >= least - 8 * 15.0 * profile.gpus * len(played.ready)


def test_a_replica_serves_one_start_up_after_it_was_asked_for() -> None:
    trace = make_trace(np.arange(0.0, 300.0, 1.0), np.full(300, 10.0), np.full(300, 2.0))
    counts = np.ones((21, 2), dtype=np.int64)
    counts[4:] = 3  # asked for at the end of tick 3, 60 s
    played = simulate(trace, Scripted(counts, 15.0), Setting(PLAIN, 45.0, (1, 1)))
    assert played.desired[:, 0].tolist()[3:5] == [1.0, 3.0]
    assert played.ready[:, 0].tolist()[5:8] == [1.0, 1.0, 3.0]


def test_a_full_cache_makes_requests_wait() -> None:
    small = Profile(**{**{f: getattr(PLAIN, f) for f in PLAIN.__slots__}, "kv_tokens": 2000.0})
    count = 40
    trace = make_trace(np.full(count, 1.0), np.full(count, 10.0), np.full(count, 490.0))
    wide, narrow = play(trace, (4, 1)), play(trace, (4, 1), small)
    assert wide.end_s.max() < 15.0
    # four at a time, each 490 * 20 ms: ten rounds
    assert narrow.end_s.max() == pytest.approx(1.0 + 10 * 9.8, rel=0.08)


def test_the_oracle_plans_ahead_and_no_further() -> None:
    needs = np.array([[1], [1], [1], [4], [1], [1], [1], [1], [3]])
    # four are asked for two ticks before; one between, as a start costs two ticks
    assert plan_ahead(needs, 2)[:, 0].tolist() == [1, 4, 4, 4, 1, 1, 3, 3, 3]


def test_the_oracle_keeps_the_targets_with_less_than_the_peak() -> None:
    rng = np.random.default_rng(3)
    rate = np.interp(np.arange(0, 1800), [0, 900, 1800], [1.0, 10.0, 1.0])
    arrival_s = np.flatnonzero(rng.uniform(size=18_000) < np.repeat(rate, 10) / 10) / 10.0
    count = len(arrival_s)
    trace = make_trace(arrival_s, np.full(count, 4000.0), np.full(count, 100.0))
    case = scaling.prepare(trace, load_profile())
    oracle = scaling.play(case, scaling._oracle(case, 60.0), 60.0)
    static = scaling.play(case, StaticPeak(scaling._peak(case)), 60.0)
    assert oracle.good.mean() >= 0.999
    assert oracle.paid_gpu_s.sum() < 0.8 * static.paid_gpu_s.sum()
    assert find_needs(trace, load_profile(), 15.0).min() >= 1


def test_an_hpa_on_utilisation_does_not_shrink_decode() -> None:
    count = 2000
    arrival_s = np.concatenate((np.linspace(0, 300, 1800), np.linspace(301, 1800, count - 1800)))
    trace = make_trace(arrival_s, np.full(count, 4000.0), np.full(count, 150.0))
    profile = load_profile()
    played = simulate(trace, UtilisationHpa(profile, 15.0), Setting(profile, 60.0, (4, 4), (8, 8)))
    assert played.desired[-1, 1] >= played.desired[10, 1]
    assert played.desired[-1, 0] < played.desired[10, 0]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_of_requests_is_read_in_order(tmp_path: Path) -> None:
    text = "arrival_s,prompt_tokens,output_tokens,cached_tokens,class\n5,10,3,4,b\n2,20,4,0,a\n"
    trace = read_trace(write(tmp_path / "x.csv", text), rate_per_s=1, hours=1, seed=1)
    assert trace.arrival_s.tolist() == [0.0, 3.0]
    assert trace.prompt_tokens.tolist() == [20.0, 6.0]
    assert trace.context_tokens.tolist() == [20.0, 10.0]
    assert trace.classes == ("a", "b")


def test_rates_become_requests_of_that_rate(tmp_path: Path) -> None:
    rows = "".join(f"{t},-1,{4.0},,,\n{t},7,{2.0},2.0,Gamma,\n" for t in range(0, 7200, 600))
    write(tmp_path / "m_rates.csv", "t_s,client,rate_rps,cv,pattern,p1\n" + rows)
    header = "t_s,client,in_mean,in_p50,in_p90,in_p99,out_mean,out_p50,out_p90,out_p99\n"
    write(tmp_path / "m_tokens.csv", header + "0,7,200,100,400,900,50,40,90,200\n")
    path = tmp_path / "m_rates.csv"
    trace = read_trace(path, rate_per_s=3.0, hours=2.0, seed=1)
    assert len(trace) / trace.end_s == pytest.approx(3.0, rel=0.05)
    assert (np.diff(trace.arrival_s) >= 0).all()
    assert trace.prompt_tokens.mean() == pytest.approx(200.0, rel=0.1)
    again = read_trace(path, rate_per_s=3.0, hours=2.0, seed=1)
    assert (again.arrival_s == trace.arrival_s).all()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param("a,b\n1,2\n", "arrival_s", id="unknown-header"),
        pytest.param("", "arrival_s", id="empty"),
        pytest.param("arrival_s,prompt_tokens,output_tokens\n1,x,2\n", "prompt_tokens", id="text"),
        pytest.param("arrival_s,prompt_tokens,output_tokens\n1,nan,2\n", "prompt_tokens", id="nan"),
        pytest.param("arrival_s,prompt_tokens,output_tokens\n-1,2,2\n", "arrival_s", id="negative"),
        pytest.param("t_s,client,rate_rps\n0,1,2\n", "rates", id="rates-without-tokens"),
    ],
)
def test_files_that_cannot_be_used_are_refused_by_name(
    tmp_path: Path, text: str, named: str
) -> None:
    with pytest.raises(BadInputError, match=named):
        read_trace(write(tmp_path / "x.csv", text), rate_per_s=1, hours=1, seed=1)


def test_every_profile_can_be_loaded_and_others_are_named() -> None:
    for name in profile_names():
        profile = load_profile(name)
        assert profile.good_batch >= 1
        assert (np.diff(profile.token_s) >= -1e-12).all()
        assert math.isfinite(profile.good_tokens_per_s)
    with pytest.raises(BadInputError, match="llama2-70b"):
        load_profile("no/such/1")


def test_the_protocol_plays_every_arm(tmp_path: Path) -> None:
    lines = "".join(f"{i * 0.5},500,60,chat\n" for i in range(300))
    path = write(tmp_path / "x.csv", "arrival_s,prompt_tokens,output_tokens,class\n" + lines)
    rows = scaling.run(traces=[path], start_ups_s=(15.0,), plots=tmp_path / "plots")
    arms = {row.arm for row in rows}
    assert OURS in arms
    assert {"static-peak", "hpa-utilisation", "dynamo-planner", "oracle"} <= arms
    good = {row.arm: row.value for row in rows if row.metric == "good_ratio"}
    assert good[OURS] == good["oracle"] == 1.0
    assert all(math.isfinite(row.value) for row in rows)
    assert [p.name for p in (tmp_path / "plots").iterdir()] == ["x-15s.png"]


def test_forecasters_see_the_past_only_and_a_line_is_foreseen() -> None:
    line = np.arange(400.0) + 10.0
    said = foresee(line, 200, 5, 15.0)
    truth = line[200:]
    assert (said["last-value"] == truth - 5).all()
    assert np.abs(said["ridge-on-lags"] - truth).max() < 1.0
    assert np.abs(said[OURS] - truth).max() < 2.0
    other = line.copy()
    other[300:] = 0.0
    for arm, values in foresee(other, 200, 5, 15.0).items():
        assert (values[:105] == said[arm][:105]).all(), arm
    rows = list(measure_forecasts(line, 200, 60.0, 15.0))
    assert {row[0] for row in rows} == set(said)
    assert not list(measure_forecasts(line[:50], 12, 60.0, 15.0)), "too short to learn from"
