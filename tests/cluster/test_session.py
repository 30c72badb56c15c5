"""Sessions to a server that fails: time limits, lost answers, refused credentials."""

from __future__ import annotations

import msgspec
import pytest

from moorage_cluster.endpoint import Endpoint, FixedCredentials
from moorage_cluster.errors import (
    ClusterUnavailableError,
    ConflictError,
    TooManyRequestsError,
    UnacceptableRequestError,
    UnauthorizedError,
)
from moorage_cluster.fake_api import FakeApi, Fault
from moorage_cluster.session import ApiSession
from moorage_cluster.transport import SilentStreamError

PODS = "/api/v1/namespaces/default/pods"


class RotatingCredentials:
    """A token that is replaced when refused."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.renewals = 0

    async def endpoint(self) -> Endpoint:
        return Endpoint(self.address, authorization=f"Bearer secret-{self.renewals}")

    async def renew(self, refused: Endpoint) -> None:
        assert refused.authorization == f"Bearer secret-{self.renewals}"
        self.renewals += 1


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(drop=True), id="connection-broken"),
        pytest.param(Fault(hang=True), id="no-answer-in-time"),
        pytest.param(Fault(status=500), id="internal-error"),
        pytest.param(Fault(status=503), id="unavailable"),
    ],
)
async def test_no_answer_means_the_cluster_is_unavailable(api: FakeApi, fault: Fault) -> None:
    api.inject(fault, path="pods", times=5)
    async with api.session(timeout_s=0.2) as session:
        with pytest.raises(ClusterUnavailableError, match="POST /api/v1"):
            await session.create(PODS, {"metadata": {"name": "a"}})


async def test_a_create_is_never_repeated_by_itself(api: FakeApi, session: ApiSession) -> None:
    api.inject(Fault(drop=True, commit=True), method="POST")
    with pytest.raises(ClusterUnavailableError):
        await session.create(PODS, {"metadata": {"name": "a"}})
    assert api.count("POST") == 1
    assert len(api.items(PODS)) == 1


async def test_a_replace_that_was_repeated_does_not_overwrite(
    api: FakeApi, session: ApiSession
) -> None:
    """HTTP lets a client repeat a PUT whose answer was lost; the precondition makes it harmless."""
    old = await session.create(PODS, {"metadata": {"name": "a"}})
    api.inject(Fault(drop=True, commit=True), method="PUT")
    with pytest.raises((ClusterUnavailableError, ConflictError)):
        await session.replace(f"{PODS}/a", {**old, "spec": {"round": 1}})
    (stored,) = api.items(PODS)
    assert int(stored["metadata"]["resourceVersion"]) == int(old["metadata"]["resourceVersion"]) + 1


async def test_nobody_listening_is_said_with_the_address() -> None:
    async with ApiSession(FixedCredentials(Endpoint("http://127.0.0.1:9"))) as session:
        with pytest.raises(ClusterUnavailableError, match=r"127\.0\.0\.1"):
            await session.get_json(PODS)


async def test_a_busy_server_says_when_to_come_back(api: FakeApi, session: ApiSession) -> None:
    api.inject(Fault(status=429, retry_after_s=4))
    with pytest.raises(TooManyRequestsError) as caught:
        await session.get_json(PODS)
    assert caught.value.retry_after_s == 4.0


async def test_a_refused_token_is_renewed_and_the_call_repeated(api: FakeApi) -> None:
    credentials = RotatingCredentials(api.address)
    api.inject(Fault(status=401), method="POST")
    async with ApiSession(credentials) as session:
        await session.create(PODS, {"metadata": {"name": "a"}})
    sent = [headers["Authorization"] for headers in api.headers]
    assert sent == ["Bearer secret-0", "Bearer secret-1"]


async def test_a_token_refused_twice_is_given_up_without_showing_it(api: FakeApi) -> None:
    api.inject(Fault(status=401), times=2)
    async with ApiSession(RotatingCredentials(api.address)) as session:
        with pytest.raises(UnauthorizedError) as caught:
            await session.get_json(PODS)
    assert api.count("GET") == 2
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(caught.value.failure)
    assert "secret" not in repr(await RotatingCredentials("http://x").endpoint())


async def test_a_redirect_is_not_followed_with_our_token(api: FakeApi) -> None:
    api.inject(Fault(status=307, location="/api/v1/elsewhere"))
    async with ApiSession(RotatingCredentials(api.address)) as session:
        with pytest.raises(UnacceptableRequestError, match="307"):
            await session.get_json(PODS)
    assert len(api.requests) == 1


async def test_watch_lines_of_any_length_arrive_whole(api: FakeApi, session: ApiSession) -> None:
    """A node with many images has a line far above a stream reader's usual limit."""
    names = ["small", "large", "last"]
    for name, size in zip(names, (10, 700_000, 10), strict=True):
        await api.put(f"{PODS}/{name}", {"status": {"filler": "x" * size}})
    found: list[str] = []
    params = {"watch": "1", "resourceVersion": "0"}
    async with session.stream(PODS, params=params, silence_s=5.0) as batches:
        async for lines in batches:
            found += [msgspec.json.decode(line)["object"]["metadata"]["name"] for line in lines]
            if len(found) == len(names):
                break
    assert found == names


async def test_a_stream_without_a_byte_is_told_from_a_broken_one(
    api: FakeApi, session: ApiSession
) -> None:
    params = {"watch": "1", "resourceVersion": "0"}
    async with session.stream(PODS, params=params, silence_s=0.05) as batches:
        with pytest.raises(SilentStreamError):
            await anext(batches)


async def test_pages_shrink_to_the_size_of_the_items(api: FakeApi, session: ApiSession) -> None:
    for i in range(120):
        await api.put(f"{PODS}/p{i}", {"status": {"filler": "x" * 20_000}})
    pages = [page async for page in session.list_pages(PODS)]
    names = [
        msgspec.json.decode(item)["metadata"]["name"] for page in pages for item in page.items or ()
    ]
    assert sorted(names) == sorted(f"p{i}" for i in range(120))
    limits = [int(query["limit"]) for _, _, query in api.requests]
    # 1,000,000 bytes a page at a bit above 20,000 bytes an item
    assert limits[0] == 100
    assert 40 <= limits[1] < 50


@pytest.mark.parametrize("text", ["", "<html>", "[]", '{"items": []}', '{"metadata": 3}'])
async def test_what_is_no_list_counts_as_no_answer(
    api: FakeApi, session: ApiSession, text: str
) -> None:
    api.inject(Fault(text=text))
    with pytest.raises(ClusterUnavailableError, match="no list"):
        await anext(session.list_pages(PODS))


@pytest.mark.parametrize("text", ["", "<html>", "[]", '{"items": ['])
async def test_what_is_no_object_counts_as_no_answer(
    api: FakeApi, session: ApiSession, text: str
) -> None:
    """A proxy in between answers 200 with a page of its own."""
    api.inject(Fault(text=text))
    with pytest.raises(ClusterUnavailableError, match="no JSON object"):
        await session.get_json(f"{PODS}/a")
