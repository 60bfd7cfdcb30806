"""The `kubernetes` package behind the seam: who the user is, and how the server is reached.

Of the package only the reading of kubeconfigs is used, with all that they can do (exec plugins,
certificates, proxies), and the connection pool that it sets up. Its models are not: they would drop
fields that they do not know.
"""

import importlib
import json
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from weightlock.policy.documents import DEFAULT_NAMESPACE
from weightlock_webhook.kubectl.answers import NOT_FOUND, error_of, object_of, page_of
from weightlock_webhook.kubectl.cluster import ClusterTrouble, JsonObject

CONNECT_SECONDS: Final = 10
ANSWER_SECONDS: Final = 60
PAGE: Final = 500
_JSON: Final = "application/json"
_SUCCESSES: Final = frozenset({200, 201, 202})
_ACCOUNT_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Connection:
    """Implements Cluster over HTTPS."""

    def __init__(self, client: Any, namespace: str, identity: Mapping[str, str]) -> None:
        """`identity` are the headers that ask to be treated as somebody else."""
        self._client = client
        self._namespace = namespace
        self._identity = identity

    @property
    def namespace(self) -> str:
        """The namespace of the kubeconfig's context, or of the pod that this runs in."""
        return self._namespace

    def get(self, path: str) -> JsonObject | None:
        """An object; None if there is none."""
        status, body = self._send("GET", path)
        if status == NOT_FOUND:
            return None
        return object_of(self._checked("GET", path, status, body), path)

    def list(self, path: str, fields: Mapping[str, str] | None = None) -> Sequence[JsonObject]:
        """All objects of a collection, page by page."""
        selector = ",".join(f"{key}={value}" for key, value in (fields or {}).items())
        query = {"limit": str(PAGE)} | ({"fieldSelector": selector} if selector else {})
        found: list[JsonObject] = []
        while True:
            status, body = self._send("GET", path, query)
            items, following = page_of(self._checked("GET", path, status, body), path)
            found += items
            if not following:
                return found
            query["continue"] = following

    def create(self, path: str, document: JsonObject, *, dry_run: bool) -> JsonObject:
        """Make an object."""
        query = {"dryRun": "All"} if dry_run else {}
        status, body = self._send("POST", path, query, document)
        return object_of(self._checked("POST", path, status, body), path)

    def _checked(self, method: str, path: str, status: int, body: bytes) -> bytes:
        if status in _SUCCESSES:
            return body
        raise error_of(method, path, status, body)

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        document: JsonObject | None = None,
    ) -> tuple[int, bytes]:
        from urllib3 import Timeout  # noqa: PLC0415 - comes with the optional package
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        url = self._client.configuration.host + path
        if query:
            url += "?" + urllib.parse.urlencode(query)
        headers = {"Accept": _JSON, "Content-Type": _JSON, **self._identity}
        self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, None)
        try:
            answer = self._client.rest_client.pool_manager.request(
                method,
                url,
                headers=headers,
                body=None if document is None else json.dumps(document).encode(),
                timeout=Timeout(connect=CONNECT_SECONDS, read=ANSWER_SECONDS),
                retries=False,
            )
        except HTTPError as error:
            raise ClusterTrouble(
                f"the API server at {self._client.configuration.host} gave no answer:"
                f" {type(error).__name__}",
                hint="See whether it can be reached: kubectl cluster-info",
            ) from error
        return answer.status, answer.data


def connect(
    kubeconfig: str | None, context: str | None, impersonated: str | None = None
) -> Connection:
    """The cluster of a kubeconfig (by default as kubectl finds it), or the one this runs in.

    Whoever is `impersonated` is who asks; by default the kubeconfig's user, or whom that acts as
    (`as`): the package does not know that field, and would act with more rights than were meant.

    Raises:
        ClusterTrouble: if there is none, or the package that reads kubeconfigs is missing.
    """
    try:
        client: Any = importlib.import_module("kubernetes.client")  # optional, and slow
        config: Any = importlib.import_module("kubernetes.config")
    except ImportError as error:
        raise ClusterTrouble(
            "the commands that speak to a cluster need the Python package kubernetes",
            hint="In a checkout of Weightlock: pip install '.[cluster]'",
        ) from error
    configuration = client.Configuration()
    try:
        config.load_kube_config(kubeconfig, context, configuration)
        chosen = _context(config, kubeconfig, context)
        namespace = chosen.get("namespace") or DEFAULT_NAMESPACE
        identity = _identity(config, kubeconfig, chosen.get("user"))
    except (config.ConfigException, OSError) as error:
        if kubeconfig or context or not _ACCOUNT_NAMESPACE.exists():
            raise _unusable(kubeconfig, error) from error
        config.load_incluster_config(configuration)
        namespace, identity = _ACCOUNT_NAMESPACE.read_text(encoding="ascii").strip(), {}
    if impersonated is not None:
        identity = {"Impersonate-User": impersonated}
    return Connection(client.ApiClient(configuration), namespace, identity)


def _unusable(kubeconfig: str | None, error: Exception) -> ClusterTrouble:
    if kubeconfig and not Path(kubeconfig).exists():
        error = FileNotFoundError(f"{kubeconfig} does not exist")
    return ClusterTrouble(
        f"no kubeconfig can be used: {error}", hint="Name one with --kubeconfig, or in KUBECONFIG."
    )


def _context(config: Any, kubeconfig: str | None, name: str | None) -> dict[str, str]:
    contexts, active = config.list_kube_config_contexts(kubeconfig)
    chosen = next((each for each in contexts if each["name"] == name), active)
    return chosen.get("context") or {}


def _identity(config: Any, kubeconfig: str | None, user: object) -> dict[str, str]:
    where = kubeconfig or config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION
    users = config.kube_config.KubeConfigMerger(where).config["users"]
    found = users.get_with_name(user, safe=True)
    says = found.value.get("user") or {} if found else {}
    if says.get("as-groups") or says.get("as-user-extra"):
        raise ClusterTrouble(
            f"as-groups and as-user-extra of the kubeconfig's user {user} are not understood",
            hint="Name a user with --as, or another --context.",
        )
    return {"Impersonate-User": str(says["as"])} if says.get("as") else {}
