"""How the process finds its cluster: the one place that loads credentials."""

from concurrent.futures import ThreadPoolExecutor

from kubernetes import client, config
from kubernetes.config import ConfigException

from weightlock.errors import Unanswerable
from weightlock.reasons import Reason
from weightlock_operator.settings import Settings

THREADS = 24
"""More than the reconciles that run side by side: Lease and events must not wait behind them."""


class NoCluster(Unanswerable):
    """No configuration says where the cluster is."""

    reason = Reason.INTERNAL_ERROR


def api_client(settings: Settings) -> client.ApiClient:
    """A client by WEIGHTLOCK_KUBECONFIG, else the pod's own account, else KUBECONFIG.

    Raises:
        NoCluster: none of them is usable.
    """
    found = client.Configuration()
    try:
        if settings.kubeconfig:
            config.load_kube_config(settings.kubeconfig, client_configuration=found)
        else:
            try:
                config.load_incluster_config(client_configuration=found)
            except ConfigException:
                config.load_kube_config(client_configuration=found)
    except (ConfigException, OSError) as error:
        raise NoCluster(f"found no usable cluster configuration: {error}") from error
    found.retries = False  # weightlock_operator.api.rest knows what may be tried again
    found.connection_pool_maxsize = THREADS
    return client.ApiClient(found)


def thread_pool() -> ThreadPoolExecutor:
    """Where requests run."""
    return ThreadPoolExecutor(THREADS, thread_name_prefix="api")
