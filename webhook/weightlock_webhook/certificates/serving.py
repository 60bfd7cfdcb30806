"""What the listener serves, kept current: from the authority's Secret, or from files.

A certificate that cannot be taken changes nothing: the one before is served on, and the failure is
counted. Readiness says so long before it ends.
"""

import logging
import ssl
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from weightlock.errors import Unreadable, WeightlockError
from weightlock_webhook.certificates import tls
from weightlock_webhook.certificates.authority import Pair, is_issued_by, server_leaf
from weightlock_webhook.certificates.rotation import Authorities

TOO_SOON: Final = timedelta(hours=24)
"""A certificate that ends sooner makes the process unready: somebody must look."""

MOST_TRIES: Final = 3
"""To read both files from one folder."""

log: Final = logging.getLogger(__name__)


class Gauges(Protocol):
    """Where expiry and failures are shown."""

    def certificate_taken(self, not_after: datetime) -> None:
        """A certificate is served from now on."""
        ...

    def certificate_refused(self) -> None:
        """One could not be taken."""
        ...


@dataclass(slots=True)
class Serving:
    """The listener's context, and the certificate in it."""

    context: ssl.SSLContext
    gauges: Gauges
    pair: Pair | None = None
    _refused: set[str] = field(default_factory=set)

    def take(self, pair: Pair) -> bool:
        """Serve another certificate; whether that worked."""
        try:
            tls.take(self.context, pair)
        except WeightlockError as error:
            self.gauges.certificate_refused()
            if pair.certificate not in self._refused:
                self._refused = {pair.certificate}
                log.error("a certificate could not be taken: %s", error.message)
            return False
        self.pair = pair
        self.gauges.certificate_taken(pair.not_after)
        log.info("serving a certificate until %s", pair.not_after.isoformat())
        return True

    def troubles(self, now: datetime, bundles: tuple[str, ...] | None) -> tuple[str, ...]:
        """What keeps clients from trusting this listener.

        `bundles` are the caBundles of the live configurations; None if they are not ours to check.
        """
        if self.pair is None:
            return ("no certificate yet",)
        found = []
        if self.pair.not_after - now < TOO_SOON:
            found.append(f"the certificate ends at {self.pair.not_after.isoformat()}")
        if bundles is not None and not all(trusts(bundle, self.pair) for bundle in bundles):
            found.append("a webhook configuration does not trust the certificate")
        return tuple(found)


class OwnLeaf:
    """Signs this replica's leaf with the authority of the Secret, in memory."""

    def __init__(self, serving: Serving, names: tuple[str, ...]) -> None:
        self._serving = serving
        self._names = names

    def keep(self, authorities: Authorities, now: datetime) -> None:
        """Sign another leaf if the one that is served is due or another authority's."""
        pair = self._serving.pair
        issuer = authorities.current
        if pair and not pair.is_due(now) and is_issued_by(pair.certificate, issuer.certificate):
            return
        self._serving.take(server_leaf(issuer, self._names, now))


class Files:
    """Follows tls.crt and tls.key, which cert-manager and a kubelet replace together."""

    def __init__(self, serving: Serving, folder: Path) -> None:
        self._serving = serving
        self._folder = folder

    def keep(self) -> None:
        """Take what the files hold now, if it is something else.

        Raises:
            Unreadable: if they cannot be read.
        """
        try:
            pair = self._read()
        except (OSError, UnicodeDecodeError) as error:
            raise Unreadable(f"cannot read {self._folder}/tls.crt and tls.key") from error
        if pair != self._serving.pair:
            self._serving.take(pair)

    def _read(self) -> Pair:
        # A kubelet writes a folder and then lets `..data` lead there: from one folder both files
        # are of one pair. The folder before may be gone by the second of them: then once more.
        for _ in range(MOST_TRIES - 1):
            try:
                return _pair_in((self._folder / "..data").resolve(strict=True))
            except OSError:
                continue
        return _pair_in(self._folder)


def _pair_in(folder: Path) -> Pair:
    return Pair((folder / "tls.crt").read_text(), (folder / "tls.key").read_text())


def service_names(service: str, namespace: str) -> tuple[str, ...]:
    """The names by which a Service is called; the API server uses the first."""
    return (
        f"{service}.{namespace}.svc",
        f"{service}.{namespace}.svc.cluster.local",
        f"{service}.{namespace}",
    )


def trusts(bundle: str, pair: Pair) -> bool:
    """Whether a bundle holds the authority of a leaf."""
    return any(is_issued_by(pair.certificate, authority) for authority in certificates_in(bundle))


def certificates_in(bundle: str) -> tuple[str, ...]:
    """The certificates of a PEM list."""
    end = "-----END CERTIFICATE-----"
    return tuple(f"{part}{end}\n" for part in bundle.split(end)[:-1])
