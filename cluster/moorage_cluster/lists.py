"""Consistent lists in pages small enough not to hold the event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Protocol

import msgspec

from moorage_cluster.decoding import decode_answer

FIRST_PAGE_ITEMS = 100
MOST_PAGE_ITEMS = 500
# Splitting a page into its items takes about 1.2 ms per MB, in one go.
PAGE_BYTES = 1_000_000


class ListMeta(msgspec.Struct, rename="camel"):
    """The metadata of a list."""

    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class ListPage(msgspec.Struct):
    """A page of a list, its items still undecoded."""

    metadata: ListMeta
    items: list[msgspec.Raw] | None = None


class Fetch(Protocol):
    """The one call that reading a list needs; ``ApiSession.request`` is one."""

    async def __call__(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None
    ) -> bytes:
        """Return the body of a successful answer."""
        ...


async def read_pages(
    fetch: Fetch,
    path: str,
    params: Mapping[str, str] | None = None,
    *,
    in_one_piece: bool = False,
) -> AsyncIterator[ListPage]:
    """Yield the pages of one consistent list: never older than the last write before the call.

    The page size follows the items' size, so that a page has about ``PAGE_BYTES``. All pages show
    the cluster as it was at the first one. ``in_one_piece`` holds the event loop for longer, and
    is for lists that etcd compacts away while they are paged.

    Raises:
        GoneError: the list was compacted away between two pages.
    """
    query = dict(params or {})
    limit = FIRST_PAGE_ITEMS
    while True:
        if not in_one_piece:
            query["limit"] = str(limit)
        body = await fetch("GET", path, params=query)
        page = decode_answer(body, ListPage, method="GET", path=path, what="list")
        yield page
        if not page.metadata.continue_:
            return
        query["continue"] = page.metadata.continue_
        limit = fitting_limit(len(body), len(page.items or ()))


def fitting_limit(page_bytes: int, items: int) -> int:
    """Return how many items of the size just seen fill a page."""
    return max(1, min(MOST_PAGE_ITEMS, PAGE_BYTES * items // max(page_bytes, 1)))
