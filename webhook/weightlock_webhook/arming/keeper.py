"""The one place that writes webhook configurations and the authority's Secret.

Every replica looks, since each shows whether it is armed and signs its own leaf. Only the leader
writes, one round after another:

1. read both configurations, the mark of an uninstall and the authorities
2. with no usable authority there is nothing to serve: whoever comes first makes one
3. sign the own leaf if it is due
4. unless marked: put back what is missing or edited, then look for the mark once more
5. write the caBundle where it is not the authorities'; it comes before any other authority signs
6. let the authorities age
7. write the token that ends every path where there is none, or an old one; last, since requests
   are answered without it too, as long as the configurations name paths without

With step 7 the leader waits until every replica has seen what it replaces (two rounds), so that no
request is refused that an API server sends before it has heard. While there is a replica of a
version that knows of no tokens, it takes them away.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from weightlock.errors import Malformed, WeightlockError
from weightlock_webhook.arming.comparison import Arming, Configuration, arming_of
from weightlock_webhook.arming.marker import is_disarmed
from weightlock_webhook.arming.restoring import (
    bundle_patch,
    decoded_bundle,
    document_of,
    encoded_bundle,
    entries_of,
    path_patch,
)
from weightlock_webhook.arming.store import ReleaseStore, StoredSecret
from weightlock_webhook.arming.tokens import BARE, new_token, youngest
from weightlock_webhook.certificates.authority import new_authority
from weightlock_webhook.certificates.rotation import Authorities, following
from weightlock_webhook.certificates.serving import OwnLeaf
from weightlock_webhook.server.gate import Sightings

ROUND_SECONDS: Final = 5.0
SETTLED: Final = timedelta(seconds=2 * ROUND_SECONDS)
"""For how long paths without a token stay: until every replica has seen them once at least."""

log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Look:
    """What a round found."""

    live: Mapping[str, Configuration | None]
    is_disarmed: bool

    @property
    def bundles(self) -> tuple[str, ...]:
        """Every caBundle of every live configuration, as base64."""
        return tuple(
            bundle for found in self.live.values() if found is not None for bundle in found.bundles
        )

    @property
    def tokens(self) -> frozenset[str]:
        """What ends the paths of every live configuration; BARE for nothing."""
        return _tokens(self.live.values())


Shipped = Callable[[], Sequence[Configuration]]
"""The configurations as they were shipped, read anew each round: an upgrade changes the file."""


class Keeper:
    """Looks after the configurations, and with `own_leaf` after the authority too."""

    def __init__(
        self,
        store: ReleaseStore,
        shipped: Shipped,
        own_leaf: OwnLeaf | None,
        sightings: Sightings,
        is_leader: Callable[[], bool],
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._read_shipped = shipped
        self._shipped: Mapping[str, Configuration] = {}
        self._own_leaf = own_leaf
        self._sightings = sightings
        self._is_leader = is_leader
        self._clock = clock
        self._last_seen: dict[str, Configuration] = {}
        self._look: Look | None = None
        self._bare_since: datetime | None = None
        self.rounds = 0

    @property
    def is_armed(self) -> bool:
        """Whether both configurations were as shipped when last looked at."""
        if self._look is None or self._look.is_disarmed:
            return False
        return all(state is Arming.ARMED for state in self._states(self._look).values())

    @property
    def bundles(self) -> tuple[str, ...] | None:
        """The caBundles of the live configurations as PEM; None if they are not ours to write."""
        if self._own_leaf is None or self._look is None:
            return None
        return tuple(map(decoded_bundle, self._look.bundles))

    async def run(self) -> None:
        """Round after round, until cancelled."""
        while True:
            try:
                await self.round()
            except WeightlockError as error:
                log.warning("configurations and authority were not looked at: %s", error.message)
            await asyncio.sleep(ROUND_SECONDS)

    async def round(self) -> None:
        """One look, and what it asks for.

        Raises:
            WeightlockError: if the API server does not answer, or not as expected.
        """
        # (1) what there is
        self._shipped = {each.kind: each for each in self._read_shipped()}
        look = await self._looked()
        # (2) and (3) an authority, and a leaf
        secret = await self._authority() if self._own_leaf else None
        # (4) to (7) only the leader
        if self._is_leader() and not look.is_disarmed:
            look = await self._kept(look, secret)
        self._look = look
        self.rounds += 1

    async def see(self) -> None:
        """Only what the live configurations say of paths.

        Raises:
            WeightlockError: if the API server does not answer, or not as expected.
        """
        self._seen([await self._store.configuration(*each) for each in self._names()])

    def _names(self) -> Sequence[tuple[str, str]]:
        shipped = self._shipped.values() or self._read_shipped()
        return [(each.kind, each.name) for each in shipped]

    async def _looked(self) -> Look:
        live = {kind: await self._store.configuration(kind, name) for kind, name in self._names()}
        self._last_seen |= {kind: found for kind, found in live.items() if found is not None}
        self._seen(live.values())
        uids = [found.uid for found in live.values() if found is not None]
        return Look(live, is_disarmed(await self._store.state(), uids))

    def _seen(self, live: Iterable[Configuration | None]) -> None:
        self._sightings.saw(_tokens(live))

    async def _authority(self) -> StoredSecret:
        now = self._clock()
        secret = await self._store.authorities()
        try:
            authorities = Authorities.from_data(secret.data)
        except Malformed:
            if secret.exists and not self._is_leader():
                raise
            authorities = Authorities(new_authority(now))
            secret = await self._store.write_authorities(secret, authorities.data())
            authorities = Authorities.from_data(secret.data)
        if self._own_leaf is not None:
            self._own_leaf.keep(authorities, now)
        return secret

    async def _kept(self, look: Look, secret: StoredSecret | None) -> Look:
        authorities = Authorities.from_data(secret.data) if secret else None
        bundle = authorities.bundle if authorities else ""
        for kind, state in self._states(look).items():
            if state is not Arming.ARMED:
                await self._restore(kind, look.live[kind], bundle)
                look = await self._looked()
        if authorities is not None and secret is not None:
            await self._certify(look, secret, authorities)
        try:
            await self._close(look)
        except WeightlockError as error:
            log.warning("tokens of paths were not looked after: %s", error.message)
        return look

    async def _certify(self, look: Look, secret: StoredSecret, authorities: Authorities) -> None:
        bundle = authorities.bundle
        for found in look.live.values():
            operations = bundle_patch(found, bundle) if found else ()
            if found and operations:
                await self._store.patch(found, operations)
        wanted = encoded_bundle(bundle)
        is_live = bool(look.bundles) and all(each == wanted for each in look.bundles)
        aged = following(authorities, self._clock(), bundle_is_live=is_live)
        if aged != authorities:
            log.info("the authority of the webhook's certificates moves on")
            await self._store.write_authorities(secret, aged.data())

    async def _close(self, look: Look) -> None:
        """Step 7."""
        now = self._clock()
        if BARE not in look.tokens:
            self._bare_since = None
        elif self._bare_since is None:
            self._bare_since = now
        if await self._store.has_older_replicas():
            wanted = BARE
        elif self._bare_since and now - self._bare_since < SETTLED:
            return
        else:
            wanted = youngest(look.tokens, now) or new_token(now)
        patches = [(found, path_patch(found, wanted)) for found in look.live.values() if found]
        if any(operations for _, operations in patches):
            log.info("paths %s", "are ended by a new token" if wanted else "lose their tokens")
        for found, operations in patches:
            if operations:
                self._sightings.saw([wanted])  # an API server may hear of it at once
                await self._store.patch(found, operations)

    async def _restore(self, kind: str, found: Configuration | None, bundle: str) -> None:
        shipped = self._shipped[kind]
        tokens = _tokens(self._last_seen.values())
        token = BARE if BARE in tokens else youngest(tokens, self._clock())
        # A caBundle that is not ours to write is left as it was: without one every call would fail
        # until its writer has come by.
        kept = encoded_bundle(bundle) if bundle else self._last_bundle(kind)
        if found is None:
            log.warning("%s %s is missing: putting it back", kind, shipped.name)
            last = self._last_seen.get(kind)
            created = await self._store.create(shipped, document_of(shipped, kept, token, last))
            # An uninstall may have marked and removed in between; what came late must go again.
            if created and is_disarmed(await self._store.state(), []):
                await self._store.delete(created)
            return
        log.warning("%s %s is not as it was shipped: putting it right", kind, shipped.name)
        await self._store.replace(found, entries_of(shipped, kept, token))

    def _last_bundle(self, kind: str) -> str:
        """What the configuration said last, or the other one; as the API has it."""
        seen = sorted(self._last_seen.values(), key=lambda each: each.kind != kind)
        return next(filter(None, (bundle for each in seen for bundle in each.bundles)), "")

    def _states(self, look: Look) -> dict[str, Arming]:
        return {kind: arming_of(each, look.live[kind]) for kind, each in self._shipped.items()}


def _tokens(live: Iterable[Configuration | None]) -> frozenset[str]:
    return frozenset(token for found in live if found for token in found.tokens)
