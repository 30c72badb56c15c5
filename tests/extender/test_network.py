from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from aiohttp import ClientSession, web

from moorage_crds.names import NETWORK_CLASS_ANNOTATION, POOL_LABEL, ROLE_LABEL
from moorage_extender.config import Settings
from moorage_extender.metrics import Metrics
from moorage_extender.network import Network
from moorage_extender.probe.report import ProbeReport, encode
from moorage_extender.probe_feed import ProbeFeed
from moorage_policies.errors import BadInputError
from moorage_policies.network.document import digest, write
from moorage_policies.network.fit import fit_family
from moorage_policies.network.samples import Report
from moorage_policies.network.simulator import Noise, simulate
from moorage_policies.network.worlds import shaped_sites
from moorage_policies.scoring import Ranker, RankingParams
from moorage_policies.scoring.network import NetworkNodes
from moorage_policies.state import Snapshot
from moorage_policies.testing import make_node, make_pod, make_snapshot

ZONE = "topology.kubernetes.io/zone"
NODES = 6
CHANCE = np.random.default_rng(8)
WORLD = shaped_sites(CHANCE, NODES, 40)
TRIALS = simulate(CHANCE, WORLD, Noise())


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(scope="module")
def document() -> str:
    return write(fit_family(TRIALS, "costs", seed=1))


def _labels(role: str) -> dict[str, str]:
    return {POOL_LABEL: "chat", ROLE_LABEL: role}


def _cluster(peers: tuple[int, ...] = (0,)) -> Snapshot:
    nodes = [
        make_node(name, labels={ZONE: f"z{WORLD.places[row, 0]}"})
        for row, name in enumerate(WORLD.names)
    ]
    pods = [
        make_pod(f"prefill-{row}", node=WORLD.names[row], labels=_labels("prefill"))
        for row in peers
    ]
    return make_snapshot(nodes, pods)


DECODE = make_pod("decode-0", labels=_labels("decode"))


def _reports(rtt: float = 1.0) -> list[Report]:
    view = TRIALS[-1].view
    return [
        Report(
            node,
            {p: rtt * float(view.rtt_ms[row, k]) for k, p in enumerate(view.nodes) if k != row},
            {p: float(view.mbps[row, k]) for k, p in enumerate(view.nodes) if k != row},
            float(view.cpu_ratio[row]),
            float(view.receive_mbps[row]),
            float(view.transmit_mbps[row]),
        )
        for row, node in enumerate(view.nodes)
    ]


def _network(tmp_path: Path, document: str | None, clock: Clock, **changes: object) -> Network:
    given: dict[str, object] = {"network_mode": "Auto", **changes}
    if document is not None:
        (tmp_path / "model.json").write_text(document)
        given.setdefault("network_model_file", tmp_path / "model.json")
    return Network(Settings(**given), Metrics(), clock)  # type: ignore[arg-type]


async def _scored(network: Network, snapshot: Snapshot) -> None:
    network.notice(DECODE, snapshot)
    await network.refresh()


def _outcomes(network: Network) -> dict[str, float]:
    return {
        sample.labels["outcome"]: sample.value
        for metric in network._metrics.network_rankings.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    }


def _rank(network: Network, snapshot: Snapshot) -> None:
    ranker = Ranker(RankingParams(), Clock(), (NetworkNodes(network.values_of),))
    network.note(DECODE, ranker.rank(DECODE, snapshot, np.arange(NODES)).value, snapshot)


async def test_the_model_scores_all_nodes_once_telemetry_is_there(
    tmp_path: Path, document: str
) -> None:
    clock, snapshot = Clock(), _cluster()
    network = _network(tmp_path, document, clock)
    for report in _reports():
        network.take(report)
    assert network.values_of(DECODE, snapshot) is None  # nothing is worked out inside a verb
    _rank(network, snapshot)
    await _scored(network, snapshot)
    values = network.values_of(DECODE, snapshot)
    assert values is not None
    assert values.shape == (NODES,)
    assert values.max() == 1.0
    _rank(network, snapshot)
    assert _outcomes(network) == {"not-scored-yet": 1.0, "scored": 1.0}


async def test_killed_telemetry_leaves_topology_after_one_staleness_window(
    tmp_path: Path, document: str
) -> None:
    clock, snapshot = Clock(), _cluster()
    network = _network(tmp_path, document, clock)
    for report in _reports():
        network.take(report)
    await _scored(network, snapshot)
    clock.now_s += 61.0
    network.wake()
    await _scored(network, snapshot)
    values = network.values_of(DECODE, snapshot)
    assert values is not None
    same_zone = WORLD.places[:, 0] == WORLD.places[0, 0]
    assert values[0] == 1.0  # the peer's own node
    assert values[same_zone].min() > values[~same_zone].max()
    _rank(network, snapshot)
    assert _outcomes(network) == {"stale": 1.0}


async def test_recommend_compares_and_does_not_count(tmp_path: Path, document: str) -> None:
    clock, snapshot = Clock(), _cluster()
    network = _network(tmp_path, document, clock, network_mode="Recommend")
    for report in _reports():
        network.take(report)
    await _scored(network, snapshot)
    assert network.values_of(DECODE, snapshot) is None
    _rank(network, snapshot)
    assert _outcomes(network) == {"scored": 1.0}
    text = network._metrics.render().decode()
    assert 'moorage_extender_network_regret_ratio_count{mode="Recommend"} 1.0' in text


async def test_off_does_nothing(tmp_path: Path, document: str) -> None:
    network = _network(tmp_path, document, Clock(), network_mode="Off")
    snapshot = _cluster()
    network.notice(DECODE, snapshot)
    _rank(network, snapshot)
    assert not network.is_on
    assert not network.has_model
    assert _outcomes(network) == {}


@pytest.mark.parametrize(
    ("pod", "peers"),
    [
        pytest.param(make_pod("plain"), (0,), id="no-pool"),
        pytest.param(DECODE, (), id="no-placed-peers"),
        pytest.param(make_pod("p", labels=_labels("prefill")), (0, 1), id="own-role-alone"),
        pytest.param(
            make_pod("d", namespace="other", labels=_labels("decode")), (0,), id="other-namespace"
        ),
    ],
)
async def test_pods_without_placed_peers_have_no_opinion(
    tmp_path: Path, document: str, pod: object, peers: tuple[int, ...]
) -> None:
    network, snapshot = _network(tmp_path, document, Clock()), _cluster(peers)
    network.notice(pod, snapshot)  # type: ignore[arg-type]
    assert not network._entries


async def test_an_unknown_class_is_ordered_by_topology(tmp_path: Path, document: str) -> None:
    snapshot = _cluster()
    network = _network(tmp_path, document, Clock())
    pod = make_pod("d", labels=_labels("decode"), annotations={NETWORK_CLASS_ANNOTATION: "made-up"})
    network.notice(pod, snapshot)
    await _scored(network, snapshot)
    assert network._find(pod, snapshot).abstained == "unknown-class"  # type: ignore[union-attr]


@pytest.mark.parametrize("bad", ["wrong-digest", "cycle", "missing"])
async def test_a_model_that_cannot_be_used_is_as_none(
    tmp_path: Path, document: str, bad: str
) -> None:
    if bad == "cycle":
        tree = '{"feature":[0],"threshold":[0],"left":[0],"right":[0],"value":[0]}'
        document = document.replace('"trees":[]', f'"trees":[{tree}]')
        assert tree in document
    changes: dict[str, object] = {
        "wrong-digest": {"network_model_digest": digest("other")},
        "cycle": {},
        "missing": {"network_model_file": tmp_path / "none.json"},
    }[bad]
    network = _network(tmp_path, document, Clock(), **changes)
    assert not network.has_model
    snapshot = _cluster()
    await _scored(network, snapshot)
    assert network._find(DECODE, snapshot).abstained == "no-model"  # type: ignore[union-attr]


async def test_probes_are_read_over_http_and_bad_ones_are_counted(
    tmp_path: Path, document: str
) -> None:
    bodies = [encode(_wire(report)) for report in _reports()]
    answers = iter([*bodies, b"{", bodies[0]])
    served: list[bytes] = []

    async def telemetry(_request: web.Request) -> web.Response:
        served.append(next(answers))
        return web.Response(body=served[-1])

    app = web.Application()
    app.add_routes([web.get("/v1/telemetry", telemetry)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    network, snapshot = _network(tmp_path, document, Clock()), _cluster()
    port = runner.addresses[0][1]
    feed = ProbeFeed(network, network._metrics, f"127.0.0.1:{port}", 1.0)
    async with ClientSession() as session:
        for _ in range(NODES + 1):
            await feed.read_all(session)
    await runner.cleanup()
    await _scored(network, snapshot)
    _rank(network, snapshot)
    assert _outcomes(network) == {"scored": 1.0}
    text = network._metrics.render().decode()
    assert 'moorage_extender_network_ignored_total{reason="unreadable"} 1.0' in text


async def test_a_node_that_two_probes_claim_is_left_out() -> None:
    network = Network(Settings(network_mode="Auto"), Metrics(), Clock())
    feed = ProbeFeed(network, network._metrics, "127.0.0.1:1", 1.0)
    twice = [Report("a", {}), Report("b", {}), Report("a", {})]
    assert [report.node for report in feed._honest(twice)] == ["b"]
    assert 'ignored_total{reason="claimed-twice"} 1.0' in network._metrics.render().decode()


async def test_probes_that_do_not_answer_are_counted_and_harm_nothing() -> None:
    network = Network(Settings(network_mode="Auto"), Metrics(), Clock())
    async with ClientSession() as session:
        await ProbeFeed(network, network._metrics, "127.0.0.1:9", 1.0).read_all(session)
    assert 'ignored_total{reason="unreachable"} 1.0' in network._metrics.render().decode()


def _wire(report: Report) -> ProbeReport:
    return ProbeReport(
        1,
        report.node,
        dict(report.rtt_ms),
        dict(report.mbps),
        report.cpu_ratio,
        report.receive_mbps,
        report.transmit_mbps,
    )


@pytest.mark.parametrize("probes", ["probe", "probe:", ":80", "probe:99999", "probe:x"])
def test_probes_need_host_and_port(probes: str) -> None:
    with pytest.raises((BadInputError, ValueError), match="host:port"):
        Settings(network_probes=probes)


async def test_what_is_asked_for_is_scored_in_the_background(tmp_path: Path, document: str) -> None:
    network, snapshot = _network(tmp_path, document, Clock()), _cluster()
    running = asyncio.create_task(network.run())
    network.notice(DECODE, snapshot)
    async with asyncio.timeout(20):
        while network.values_of(DECODE, snapshot) is None:  # noqa: ASYNC110 - a poll with a deadline
            await asyncio.sleep(0.001)
    running.cancel()
