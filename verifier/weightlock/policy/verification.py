"""How checkpoints are verified: device, place, limits. Nothing here weakens a verdict."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Final

from weightlock.policy import scalars
from weightlock.policy.fields import Fields
from weightlock.policy.selectors import label_key, label_value, labels
from weightlock.policy.sizes import MOST_TOLERATIONS

VERIFICATION_FIELDS: Final = (
    "device",
    "placement",
    "nodeSelector",
    "tolerations",
    "priorityClassName",
    "queueName",
    "limits",
)
DEVICE_FIELDS: Final = ("resource", "count", "resourceClaimTemplateName", "fallback")
FALLBACK_FIELDS: Final = ("device", "after")
TOLERATION_FIELDS: Final = ("key", "operator", "value", "effect", "tolerationSeconds")
LIMITS_FIELDS: Final = (
    "deadline",
    "retries",
    "perNamespace",
    "total",
    "maxFiles",
    "maxBytes",
    "maxShards",
)


class Placement(StrEnum):
    """Where a verification runs."""

    WORKLOAD = "Workload"
    ANYWHERE = "Anywhere"


class FallbackDevice(StrEnum):
    """What a verification runs on if the device does not come."""

    CPU = "cpu"


class TolerationOperator(StrEnum):
    """How a toleration compares."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class TaintEffect(StrEnum):
    """The effects of taints."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


@dataclass(frozen=True, slots=True)
class Fallback:
    """The device to fall back to after a wait."""

    device: FallbackDevice = FallbackDevice.CPU
    after: timedelta = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Device:
    """What the verifying container asks for. Without a resource or a claim it is the CPU."""

    resource: str | None = None
    count: int = 1
    resource_claim_template_name: str | None = None
    fallback: Fallback | None = None


@dataclass(frozen=True, slots=True)
class Toleration:
    """A toleration of the verifying pod, as core/v1 has it."""

    key: str | None
    operator: TolerationOperator
    value: str | None
    effect: TaintEffect | None
    toleration_seconds: int | None


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one verification, and all of them together, may take."""

    deadline: timedelta = timedelta(hours=2)
    retries: int = 2
    per_namespace: int = 4
    total: int = 32
    max_files: int = 200_000
    max_bytes: int = 20 * 1024**4
    max_shards: int = 16

    def narrowed(self, other: "Limits") -> "Limits":
        """The smaller of each."""
        return Limits(
            deadline=min(self.deadline, other.deadline),
            retries=min(self.retries, other.retries),
            per_namespace=min(self.per_namespace, other.per_namespace),
            total=min(self.total, other.total),
            max_files=min(self.max_files, other.max_files),
            max_bytes=min(self.max_bytes, other.max_bytes),
            max_shards=min(self.max_shards, other.max_shards),
        )


@dataclass(frozen=True, slots=True)
class Verification:
    """Everything that shapes the verification Job."""

    device: Device = field(default_factory=Device)
    placement: Placement = Placement.WORKLOAD
    node_selector: tuple[tuple[str, str], ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    priority_class_name: str | None = None
    queue_name: str | None = None
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def from_fields(cls, fields: Fields) -> "Verification":
        """Read `spec.verification`."""
        selector = labels(fields, "nodeSelector")
        return cls(
            device=_device(fields.section("device", DEVICE_FIELDS)),
            placement=fields.choice_or("placement", Placement, Placement.WORKLOAD),
            node_selector=tuple(sorted(selector.items())),
            tolerations=tuple(
                map(
                    _toleration, fields.sections("tolerations", TOLERATION_FIELDS, MOST_TOLERATIONS)
                )
            ),
            priority_class_name=fields.optional_text("priorityClassName", scalars.name),
            queue_name=fields.optional_text("queueName", scalars.name),
            limits=_limits(fields.section("limits", LIMITS_FIELDS)),
        )


def _device(fields: Fields) -> Device:
    resource = fields.optional_text("resource", label_key)
    claim = fields.optional_text("resourceClaimTemplateName", scalars.name)
    if resource and claim:
        raise fields.wrong("", "found resource and resourceClaimTemplateName, expected one of them")
    count = fields.integer_or("count", 1, 64, 1)
    if count > 1 and not resource:
        raise fields.wrong("count", "found a count without a resource, such as nvidia.com/gpu")
    if fields.has("fallback") and not resource and not claim:
        raise fields.wrong("fallback", "found a fallback, and no device to fall back from")
    fallback = _fallback(fields.section("fallback", FALLBACK_FIELDS))
    return Device(
        resource,
        count,
        claim,
        fallback if fields.has("fallback") else None,
    )


def _fallback(fields: Fields) -> Fallback:
    return Fallback(
        fields.choice_or("device", FallbackDevice, FallbackDevice.CPU),
        fields.text_or("after", scalars.duration, Fallback().after),
    )


def _toleration(fields: Fields) -> Toleration:
    operator = fields.choice_or("operator", TolerationOperator, TolerationOperator.EQUAL)
    key = fields.optional_text("key", label_key)
    value = fields.optional_text("value", label_value)
    if operator is TolerationOperator.EXISTS and value:
        raise fields.wrong("value", "found a value, expected none with Exists")
    if operator is TolerationOperator.EQUAL and key is None:
        raise fields.wrong("key", "missing, expected with Equal")
    effect = fields.choice("effect", TaintEffect) if fields.has("effect") else None
    seconds = fields.optional_integer("tolerationSeconds", 0, 2**31)
    return Toleration(key, operator, value, effect, seconds)


def _limits(fields: Fields) -> Limits:
    usual = Limits()
    return Limits(
        deadline=fields.text_or("deadline", scalars.duration, usual.deadline),
        retries=fields.integer_or("retries", 0, 10, usual.retries),
        per_namespace=fields.integer_or("perNamespace", 1, 10_000, usual.per_namespace),
        total=fields.integer_or("total", 1, 10_000, usual.total),
        max_files=fields.integer_or("maxFiles", 1, 100_000_000, usual.max_files),
        max_bytes=_max_bytes(fields, usual.max_bytes),
        max_shards=fields.integer_or("maxShards", 1, 1024, usual.max_shards),
    )


def _max_bytes(fields: Fields, usual: int) -> int:
    # Kubernetes quantities are numbers or texts.
    if fields.has("maxBytes") and isinstance(fields.raw("maxBytes"), int):
        return fields.integer("maxBytes", 1, scalars.MAX_QUANTITY)
    return fields.text_or("maxBytes", scalars.quantity, usual)
