"""Options that the commands for clusters share."""

import argparse

from weightlock.policy import scalars
from weightlock_webhook.kubectl.cluster import Cluster


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """-n, --kubeconfig, --context, --json."""
    parser.add_argument(
        "-n", "--namespace", help="the namespace (default: that of the kubeconfig's context)"
    )
    parser.add_argument(
        "--kubeconfig", metavar="FILE", help="whom to ask, and as whom (default: as kubectl does)"
    )
    parser.add_argument("--context", metavar="NAME", help="the kubeconfig's context")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def namespace_of(args: argparse.Namespace, cluster: Cluster) -> str:
    """The namespace that was named, else the context's.

    Raises:
        Malformed: for what is no name.
    """
    return scalars.name(args.namespace or cluster.namespace)
