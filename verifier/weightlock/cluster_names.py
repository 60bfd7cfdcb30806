"""The strings that operator, webhook and command line share on a cluster.

They meet through the API only, so what one writes and another reads is named once, here.
"""

from typing import Final

NAMESPACE: Final = "weightlock-system"
OPERATOR_ACCOUNT: Final = "weightlock-operator"
WEBHOOK_ACCOUNT: Final = "weightlock-webhook"
JOB_CONTROLLER_USER: Final = "system:serviceaccount:kube-system:job-controller"

PREFIX: Final = "weightlock.dev/"
"""Labels and annotations under it are ours; the webhook guards them."""

CHECKPOINT_UID_LABEL: Final = "weightlock.dev/checkpoint-uid"
VERIFICATION_LABEL: Final = "weightlock.dev/verification"
CHECKPOINT_ANNOTATION: Final = "weightlock.dev/checkpoint"
GENERATION_ANNOTATION: Final = "weightlock.dev/generation"

SCHEDULING_GATE: Final = "weightlock.dev/verification"
HELD_LABEL: Final = "weightlock.dev/held"
WAITS_FOR_ANNOTATION: Final = "weightlock.dev/waits-for"
"""A JSON list of {volume, claim, path, checkpoint}."""
NUDGED_AT_ANNOTATION: Final = "weightlock.dev/nudged-at"
"""Touched so that a scheduler without gates looks at a held pod again."""

MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
COMPONENT_LABEL: Final = "app.kubernetes.io/component"
MANAGED_BY: Final = "weightlock"
VERIFIER_COMPONENT: Final = "verifier"

SEAL_SECRET: Final = "weightlock-seal"  # noqa: S105 - the name of one
SEAL_KEY_CURRENT: Final = "current"
SEAL_KEY_PREVIOUS: Final = "previous"
VERSIONS_CONFIG_MAP: Final = "weightlock-versions"
STATE_CONFIG_MAP: Final = "weightlock-state"
RESTORED_AT_KEY: Final = "restoredAt"

RENEWALS_ANNOTATION: Final = "weightlock.dev/renewals"
"""On the operator's Lease: how often it was written. It only rises, but for a restored backup."""

REQUESTED_EVENT: Final = "VerificationRequested"
"""The reason of the event by which the webhook says that a refused pod wanted a verdict."""
