"""Server-side apply, and the answer to whether an apply is needed at all.

The operator makes no write while nothing changes. What was considered:

* *Comparing the manifest with the live object* fails on what the server rewrites: ``1000m`` comes
  back as ``1``, and admission webhooks may change a field for good, so equality is never reached.
* *Remembering what was sent* forgets at restart and does not see what others changed.
* *A digest of the manifest in an annotation* survives both, but does not see what others changed.
* *Ownership* sees it: who changes a field of ours takes it out of our managedFields entry.

So a manifest needs no apply when the live object carries the manifest's digest **and** our entry
still owns every field of it (the annotation included). A status cannot carry an annotation; there
the values are compared besides, which is sound because our own resources' statuses are stored as
they are sent.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from moorage_cluster.errors import Cause, ClusterUnavailableError, Failure, InvalidError
from moorage_cluster.ownership import is_empty, owned_fields, owns, owns_just
from moorage_cluster.session import ApiSession, Json
from moorage_crds.names import MANIFEST_DIGEST_ANNOTATION
from moorage_policies.errors import BadInputError

Manifest = Mapping[str, Any]

_STATUS = "status"
_UNDECLARED = re.compile(r"typed patch object .*: \.(?P<field>.+): field not declared in schema")


@dataclass(frozen=True, slots=True)
class Applied:
    """The object after an apply, and whether the apply changed it.

    ``changed`` compares with the revision that the caller knew; without one it is ``True``.
    """

    item: Json
    changed: bool


async def apply(
    session: ApiSession,
    manifest: Manifest,
    field_manager: str,
    *,
    force: bool = True,
    known_revision: str = "",
) -> Applied:
    """Return the object after applying a manifest, its digest annotated.

    Fields that an earlier apply set and this one leaves out are removed. ``None`` values are left
    out. ``force`` takes fields over from other managers.

    Raises:
        InvalidError: the server refuses the manifest; ``field`` names the field.
        ConflictError: without ``force``, another manager owns a field.
        NotFoundError: the namespace or the kind does not exist.
    """
    signed = sign(manifest)
    return await _send(session, signed, field_manager, force, known_revision, subresource="")


async def apply_status(
    session: ApiSession,
    manifest: Manifest,
    field_manager: str,
    *,
    force: bool = True,
    known_revision: str = "",
) -> Applied:
    """Return the object after applying a manifest's status; the rest only names the object."""
    body = {**_identity(manifest), _STATUS: without_nulls(manifest[_STATUS])}
    return await _send(session, body, field_manager, force, known_revision, subresource=_STATUS)


async def apply_if_needed(
    session: ApiSession, live: Json | None, manifest: Manifest, field_manager: str
) -> Applied:
    """Return the live object, after an apply if ``needs_apply``."""
    if live is not None and not needs_apply(live, manifest, field_manager):
        return Applied(live, changed=False)
    known = live["metadata"]["resourceVersion"] if live else ""
    return await apply(session, manifest, field_manager, known_revision=known)


async def apply_status_if_needed(
    session: ApiSession, live: Json, manifest: Manifest, field_manager: str
) -> Applied:
    """Return the live object, after an apply of the status if ``needs_apply_status``."""
    if not needs_apply_status(live, manifest, field_manager):
        return Applied(live, changed=False)
    known = live["metadata"]["resourceVersion"]
    return await apply_status(session, manifest, field_manager, known_revision=known)


def needs_apply(live: Manifest | None, manifest: Manifest, field_manager: str) -> bool:
    """Return whether applying a manifest could change the live object.

    Of ``live`` only ``metadata.annotations`` and ``metadata.managedFields`` are read.
    """
    if live is None:
        return True
    signed = sign(manifest)
    annotations = live["metadata"].get("annotations") or {}
    digest = signed["metadata"]["annotations"][MANIFEST_DIGEST_ANNOTATION]
    if annotations.get(MANIFEST_DIGEST_ANNOTATION) != digest:
        return True
    fields = owned_fields(live, field_manager)
    return fields is None or not owns(fields, _ownable(signed))


def needs_apply_status(live: Manifest, manifest: Manifest, field_manager: str) -> bool:
    """Return whether applying a manifest's status could change the live object."""
    fields = owned_fields(live, field_manager, _STATUS)
    wanted = {_STATUS: without_nulls(manifest[_STATUS])}
    if fields is None:
        return not is_empty(wanted)
    return not owns_just(fields, wanted, live)


def sign(manifest: Manifest) -> Json:
    """Return the manifest without nulls and with its own digest as an annotation."""
    clean = without_nulls(manifest)
    body = msgspec.json.encode(clean, order="deterministic")
    digest = hashlib.sha256(body).hexdigest()[:32]
    metadata = clean["metadata"]
    annotations = {**metadata.get("annotations", {}), MANIFEST_DIGEST_ANNOTATION: digest}
    return {**clean, "metadata": {**metadata, "annotations": annotations}}


def without_nulls(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a JSON value without the map entries that are null."""
    if isinstance(value, Mapping):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [without_nulls(inner) for inner in value]
    return value


async def _send(
    session: ApiSession,
    body: Json,
    field_manager: str,
    force: bool,  # noqa: FBT001 - handed through
    known_revision: str,
    subresource: str,
) -> Applied:
    resource = await session.kinds.find(body["apiVersion"], body["kind"])
    metadata = body["metadata"]
    namespace = metadata.get("namespace", "")
    if resource.namespaced and not namespace:
        raise BadInputError(
            f"name the namespace of this {body['kind']}", field="metadata.namespace"
        )
    path = resource.path(namespace, metadata["name"], subresource)
    params = {"fieldManager": field_manager, "force": "true" if force else "false"}
    try:
        item = await session.patch(path, body, kind="apply", params=params)
    except ClusterUnavailableError as error:
        raise _unknown_field(error.failure) or error from None
    return Applied(item, changed=item["metadata"]["resourceVersion"] != known_revision)


def _unknown_field(failure: Failure) -> InvalidError | None:
    """Return what a field outside the schema really is; the server answers 500 for it."""
    found = _UNDECLARED.search(failure.message)
    if found is None:
        return None
    causes = (Cause(found["field"], "field not declared in schema", "FieldValueInvalid"),)
    return InvalidError(replace(failure, status=422, reason="Invalid", causes=causes))


def _identity(manifest: Manifest) -> Json:
    metadata = manifest["metadata"]
    names = {key: metadata[key] for key in ("name", "namespace") if key in metadata}
    return {"apiVersion": manifest["apiVersion"], "kind": manifest["kind"], "metadata": names}


def _ownable(signed: Json) -> Json:
    """Return the part of a manifest whose fields can be owned: not what names the object."""
    metadata = {k: v for k, v in signed["metadata"].items() if k not in ("name", "namespace")}
    rest = {k: v for k, v in signed.items() if k not in ("apiVersion", "kind", _STATUS)}
    return {**rest, "metadata": metadata}
