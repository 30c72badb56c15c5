"""How we find the API server: in a pod by its service account, elsewhere by a kubeconfig."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from yaml import YAMLError

from moorage_cluster.endpoint import Credentials, Endpoint, build_tls
from moorage_policies.errors import BadInputError

if TYPE_CHECKING:
    from kubernetes.aio.client import Configuration

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_PLUGIN_TIMEOUT_S = 60.0
# What the official client raises on files that are YAML but no kubeconfig, or name missing files.
_ODD_FILE = (AttributeError, LookupError, OSError, TypeError, ValueError)


class InClusterCredentials:
    """The pod's service account; a rotated token or CA file is read when it changes."""

    def __init__(
        self,
        directory: Path = SERVICE_ACCOUNT,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._token_file = directory / "token"
        self._ca_file = directory / "ca.crt"
        self._server = _service_url(environment)
        self._stamp: tuple[int, ...] = ()
        self._current = Endpoint(self._server)
        self._read()

    @staticmethod
    def available(
        directory: Path = SERVICE_ACCOUNT, environment: Mapping[str, str] = os.environ
    ) -> bool:
        """Return whether this process runs in a pod with a service account."""
        return bool(environment.get("KUBERNETES_SERVICE_HOST")) and (directory / "token").exists()

    async def endpoint(self) -> Endpoint:
        """Return the endpoint with the token that is in the file now."""
        self._read()
        return self._current

    async def renew(self, refused: Endpoint) -> None:
        """Read both files although their times did not change."""
        if self._current is refused:
            self._stamp = ()
            self._read()

    def _read(self) -> None:
        try:
            stamp = _stamp(self._token_file) + _stamp(self._ca_file)
            if stamp == self._stamp:
                return
            token = self._token_file.read_text().strip()
            tls = build_tls(ca_file=str(self._ca_file))
        except (OSError, ssl.SSLError) as error:
            raise BadInputError(
                f"cannot read the service account ({error}); mount it into the pod",
                field=str(self._token_file.parent),
            ) from error
        self._current = Endpoint(self._server, tls, f"Bearer {token}")
        self._stamp = stamp


class KubeconfigCredentials:
    """A kubeconfig with everything that the official client understands of it.

    Tokens, token files, client certificates, basic authentication, OIDC and exec plugins. The
    client is imported on first use: it costs 20 MiB, which a pod never needs. An expired token
    shows as a 401, upon which the session calls ``renew`` and repeats the call.

    Args:
        source: path of the file, or several joined by ``:`` as in ``KUBECONFIG``.
        context: name of the context, ``None`` for the current one.
    """

    def __init__(self, source: str, context: str | None) -> None:
        self._source = source
        self._context = context
        self._current: Endpoint | None = None
        self._loading = asyncio.Lock()

    async def endpoint(self) -> Endpoint:
        """Return the endpoint as it was last loaded."""
        if self._current is not None:
            return self._current
        return await self._load_unless_changed(None)

    async def renew(self, refused: Endpoint) -> None:
        """Load the kubeconfig again, once for all callers that were refused together."""
        await self._load_unless_changed(refused)

    async def _load_unless_changed(self, known: Endpoint | None) -> Endpoint:
        async with self._loading:
            if self._current is None or self._current is known:
                self._current = await self._load()
            return self._current

    async def _load(self) -> Endpoint:
        from kubernetes.aio.client import Configuration
        from kubernetes.aio.config import ConfigException, load_kube_config

        target = Configuration()
        try:
            async with asyncio.timeout(_PLUGIN_TIMEOUT_S):
                await load_kube_config(  # type: ignore[no-untyped-call]
                    self._source, self._context, target, persist_config=False
                )
            return _to_endpoint(target)
        except (ConfigException, YAMLError, *_ODD_FILE) as error:
            raise self._unusable(error) from None  # its text may quote the user's secrets

    def _unusable(self, error: Exception) -> BadInputError:
        reason = str(error).split("{", maxsplit=1)[0].strip() or type(error).__name__
        return BadInputError(
            f"no usable kubeconfig ({reason}); check the file and the context", field=self._source
        )


def find_credentials(kubeconfig: Path | None, context: str | None) -> Credentials:
    """Return the first of: given kubeconfig, ``KUBECONFIG``, service account, home directory."""
    source = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG", "")
    if not source and context is None and InClusterCredentials.available():
        return InClusterCredentials()
    source = source or str(Path.home() / ".kube" / "config")
    if not any(Path(part).expanduser().is_file() for part in source.split(os.pathsep) if part):
        raise BadInputError(
            "there is no such file; name a kubeconfig, set KUBECONFIG or run in a pod", field=source
        )
    return KubeconfigCredentials(source, context)


def _to_endpoint(target: Configuration) -> Endpoint:
    tls = None
    if target.host.startswith("https"):
        tls = build_tls(
            ca_file=target.ssl_ca_cert,
            certificate_file=target.cert_file,
            key_file=target.key_file,
            verify=target.verify_ssl,
        )
    return Endpoint(
        server=target.host,
        tls=tls,
        authorization=target.api_key.get("BearerToken"),
        proxy=target.proxy or _environment_proxy(target.host),
        server_name=target.tls_server_name or None,
    )


def _environment_proxy(server: str) -> str | None:
    url = urlsplit(server)
    host = url.hostname or ""
    if host in ("localhost", "::1") or host.startswith("127.") or proxy_bypass(host):
        return None
    return getproxies().get(url.scheme)


def _service_url(environment: Mapping[str, str]) -> str:
    host = environment["KUBERNETES_SERVICE_HOST"]
    port = environment.get("KUBERNETES_SERVICE_PORT", "443")
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _stamp(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_mtime_ns, facts.st_ino
