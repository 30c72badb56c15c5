from __future__ import annotations

import asyncio
import json
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme

from moorage_extender.health import DEAD_AFTER_S


async def test_ready_only_while_facts_are_fresh_and_the_end_is_far(extender: Any) -> None:
    assert await extender.get("/readyz") == (200, "ok")
    extender.ctx.why_not_ready = lambda: "nodes are not listed yet"
    assert await extender.get("/readyz") == (503, "nodes are not listed yet")
    extender.ctx.why_not_ready = lambda: ""
    extender.health.drain()
    assert await extender.get("/readyz") == (503, "shutting down")
    assert (await extender.get("/livez"))[0] == 200


async def test_alive_only_while_the_heart_beats(extender: Any) -> None:
    assert await extender.get("/livez") == (200, "ok")
    extender.clock.now_s += DEAD_AFTER_S + 1
    status, text = await extender.get("/livez")
    assert (status, text) == (503, "no heartbeat for 31 s")


async def test_verbs_and_health_are_on_different_listeners(extender: Any) -> None:
    for path in ("/metrics", "/readyz", "/debug/decisions"):
        async with extender.http.get(f"{extender.verbs_url}{path}") as answer:
            assert answer.status == 404
    for verb in ("filter", "prioritize", "preempt", "bind"):
        async with extender.http.post(f"{extender.health_url}/{verb}", data=b"{}") as answer:
            assert answer.status == 404


async def test_the_document_describes_every_verb_and_all_references_resolve(extender: Any) -> None:
    async with extender.http.get(f"{extender.verbs_url}/openapi.json") as answer:
        document = await answer.json()
    assert set(document["paths"]) == {"/filter", "/prioritize", "/preempt", "/bind"}
    references = {part.split('"')[0] for part in json.dumps(document).split('"$ref": "')[1:]}
    assert references
    for reference in references:
        assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"]
    for path in document["paths"].values():
        assert {"200", "400", "413"} <= set(path["post"]["responses"])


@pytest.fixture
def authority(tmp_path: Path) -> dict[str, Any]:
    ca, stranger = trustme.CA(), trustme.CA()
    certificate = ca.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    for part in certificate.cert_chain_pems:
        part.write_to_path(tmp_path / "cert.pem", append=True)
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    return {
        "ca": ca,
        "stranger": stranger,
        "files": {
            "tls_certificate_file": tmp_path / "cert.pem",
            "tls_key_file": tmp_path / "key.pem",
            "tls_client_ca_file": tmp_path / "ca.pem",
        },
    }


def _client_context(authority: dict[str, Any], client: Any) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority["ca"].configure_trust(context)
    if client is not None:
        client.issue_cert("kube-scheduler").configure_cert(context)
    return context


async def test_with_tls_only_certificates_of_the_named_authority_get_in(
    start_extender: Any, authority: dict[str, Any]
) -> None:
    extender = await start_extender(**authority["files"])
    url = extender.verbs_url.replace("http:", "https:") + "/bind"
    insiders, strangers = authority["ca"], authority["stranger"]
    async with extender.http.post(
        url, data=b"{}", ssl=_client_context(authority, insiders)
    ) as answer:
        assert answer.status == 400
    for nobody in (None, strangers):
        with pytest.raises(aiohttp.ClientError):
            await extender.http.post(url, data=b"{}", ssl=_client_context(authority, nobody))
    with pytest.raises(aiohttp.ClientError):
        await extender.http.post(extender.verbs_url + "/bind", data=b"{}")
    assert await extender.get("/readyz") == (200, "ok")


def certified(authority: dict[str, Any], *names: str, common: str | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority["ca"].configure_trust(context)
    authority["ca"].issue_cert(*names, common_name=common).configure_cert(context)
    return context


@pytest.mark.parametrize(
    ("names", "common", "status"),
    [
        pytest.param(["scheduler.example.com"], "kube-scheduler", 400, id="common-name"),
        pytest.param(["other.example.com", "kube-scheduler"], None, 400, id="alternative-name"),
        pytest.param(["other.example.com"], "Kube-Scheduler", 403, id="another-case"),
        pytest.param(["*.example.com"], "kube-*", 403, id="no-wildcards"),
        pytest.param(["other.example.com"], None, 403, id="somebody-else"),
    ],
)
async def test_with_names_only_clients_of_these_names_get_in(
    start_extender: Any,
    authority: dict[str, Any],
    names: list[str],
    common: str | None,
    status: int,
) -> None:
    known = {"kube-scheduler", "a.example.com"}
    extender = await start_extender(**authority["files"], tls_client_names=known)
    url = extender.verbs_url.replace("http:", "https:")
    context = certified(authority, *names, common=common)
    for path in ("/bind", "/filter", "/bind"):
        async with extender.http.post(url + path, data=b"{}", ssl=context) as answer:
            assert answer.status == status
    refused = (await extender.get("/metrics"))[1]
    assert ("moorage_extender_refused_clients_total 0.0" in refused) == (status != 403)


async def test_idle_connections_outlive_those_of_go(extender: Any) -> None:
    """Go keeps idle connections for 90 s and does not retry a POST on one that we closed."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", int(extender.verbs_url.rsplit(":", 1)[1])
    )
    request = b"POST /bind HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
    for _ in range(2):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"400" in head.split(b"\r\n")[0]
        assert b"connection: close" not in head.lower()
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
    writer.close()
