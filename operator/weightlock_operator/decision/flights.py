"""The verification that is in flight, as `status.verification` carries it between two looks.

Its seal has a tag of its own: whoever can write a status must not be able to make the operator take
the report of another Job (A08, A10). Only the Job with the uid that was sealed counts, ever.

Law: Flight.from_status(f.status(key), (key,)) == f.
"""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from weightlock.errors import Malformed
from weightlock.policy import scalars
from weightlock.policy.checkpoints import VolumeStatus
from weightlock.policy.fields import Fields
from weightlock.policy.objects import MAX_GENERATION
from weightlock.policy.paths import VolumePath
from weightlock.verdict.records import instant_text
from weightlock.verdict.seal import SealKey, joined

_TAG: Final = b"weightlock/flight-seal"
SCHEMA_VERSION: Final = 1
"""Changes whenever the fields or their encoding do, so that old seals just break."""

_MOST: Final = 2**31


class DeviceKind(StrEnum):
    """What a verification runs on."""

    DEVICE = "gpu"
    CPU = "cpu"


@dataclass(frozen=True, slots=True)
class Flight:
    """A Job that was made, for whom, over what, and what its pods must look like."""

    checkpoint_uid: str
    generation: int
    job: str
    job_uid: str
    nonce: str
    attempt: int
    pod_spec_hash: str
    device: DeviceKind
    policy_hash: str
    started_at: datetime
    volume: VolumeStatus = field(default_factory=VolumeStatus)

    def status(self, key: SealKey) -> dict[str, object]:
        """The fields of `status.verification`, sealed."""
        return {
            "job": self.job,
            "jobUID": self.job_uid,
            "nonce": self.nonce,
            "attempt": self.attempt,
            "generation": self.generation,
            "podSpecHash": self.pod_spec_hash,
            "device": self.device.value,
            "policyHash": self.policy_hash,
            "volume": volume_fields(self.volume),
            "startedAt": instant_text(self.started_at),
            "seal": f"v{SCHEMA_VERSION}:{key.keyid}:{self._tag(key)}",
        }

    @classmethod
    def from_status(
        cls, value: object, checkpoint_uid: str, keys: Iterable[SealKey]
    ) -> "Flight | None":
        """Read `status.verification`; None for whatever we did not seal for this checkpoint."""
        try:
            fields = Fields(value, "status.verification", None, Malformed)
            flight = cls._read(fields, checkpoint_uid)
            sealed = fields.text("seal", str)
        except Malformed:
            return None
        for key in keys:
            expected = f"v{SCHEMA_VERSION}:{key.keyid}:{flight._tag(key)}"
            if hmac.compare_digest(expected.encode(), sealed.encode("utf-8", "surrogatepass")):
                return flight
        return None

    @classmethod
    def _read(cls, fields: Fields, checkpoint_uid: str) -> "Flight":
        return cls(
            checkpoint_uid=checkpoint_uid,
            generation=fields.integer("generation", 0, MAX_GENERATION),
            job=fields.text("job", str),
            job_uid=fields.text("jobUID", str),
            nonce=fields.text("nonce", str),
            attempt=fields.integer("attempt", 0, _MOST),
            pod_spec_hash=fields.text("podSpecHash", str),
            device=fields.choice("device", DeviceKind),
            policy_hash=fields.text("policyHash", str),
            started_at=fields.text("startedAt", scalars.moment),
            volume=_volume(fields.section("volume", None)),
        )

    def _tag(self, key: SealKey) -> str:
        volume = self.volume
        encoded = joined(
            _TAG,
            SCHEMA_VERSION,
            self.checkpoint_uid,
            self.generation,
            self.job,
            self.job_uid,
            self.nonce,
            self.attempt,
            self.pod_spec_hash,
            self.device.value,
            self.policy_hash,
            instant_text(self.started_at),
            joined(
                volume.pvc_uid, volume.pv_name, volume.pv_uid, volume.source_hash, str(volume.path)
            ),
        )
        return hmac.digest(key.secret, encoded, hashlib.sha256).hex()


def volume_fields(volume: VolumeStatus) -> dict[str, object]:
    """A volume as `status.volume` and `status.verification.volume` have it."""
    return {
        "pvcUID": volume.pvc_uid,
        "pvName": volume.pv_name,
        "pvUID": volume.pv_uid,
        "sourceHash": volume.source_hash,
        "path": str(volume.path),
    }


def _volume(fields: Fields) -> VolumeStatus:
    return VolumeStatus(
        fields.text("pvcUID", str),
        fields.text("pvName", str),
        fields.text("pvUID", str),
        fields.text("sourceHash", str),
        fields.text("path", VolumePath.parse),
    )
