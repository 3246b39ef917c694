"""An output's URI -> the right to write there: the output must be empty, or hold only files of our own attempts.

Nothing is removed here. Files of an earlier attempt at other work stay until a result is published, because that attempt may
only be paused and still publish.
"""

import re
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import unquote

from pydantic import ValidationError

from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import naming, outages, store
from stillhouse.artifacts.lease import CLAIM, LEASE_S, VARIABLE, Claim, Lease, Work, first_claim
from stillhouse.artifacts.manifest import MANIFEST
from stillhouse.errors import BadConfig, MissingInput, StaleOutput, StillhouseError, WriterStalled
from stillhouse.vocabulary import environment
from stillhouse.vocabulary.masking import printable
from stillhouse.vocabulary.stage_names import STAGE_NAMES
from stillhouse.vocabulary.text import duration

LONGEST_POLL_S = 2.0
STALLED, STALLED_S = "STILLHOUSE_STALLED_S", 21_600.0
TELL_EVERY_S = 600.0
_RESERVED = re.compile(r"\..*|\s.*|.*\s|.*\\.*|[A-Za-z]:.*|manifest\.json|latest\.json|claim\.json.*")
"""Names and versions that would be taken for a file or a directory of the store, or for a path of Windows."""
_SHARD = re.compile(r"((shards|maps)/\d+-of-\d+|(read|combined)/of-\d+)/.+")


def check_output(uri: str, stage: str) -> None:
    """Raise BadConfig unless the URI is ``{root}/{stage}/{name}/{version}`` of this stage.

    It also refuses names that the store uses itself, and a place inside an artifact.
    """
    scheme, _, path = uri.partition("://")
    segments = path.split("/")
    names = [unquote(segment) if scheme == "file" else segment for segment in segments[-3:]]
    if len(segments) < 4 or names[0] != stage or any(not name or set(name) & set("#?%/") for name in names):
        form = f"{{root}}/{stage}/{{name}}/{{version}}, such as store/{stage}/mine/1"
        msg = f"--output {uri}: {stage} writes to {form}; nothing was touched"
        raise BadConfig(msg)
    if naming.split_shard(uri)[1] or any(map(_RESERVED.fullmatch, names[1:])):
        msg = (
            f"--output {uri}: the store itself uses such a name, or it is a path of Windows, or begins or ends with a blank; "
            "nothing was touched: choose another one"
        )
        raise BadConfig(msg)
    _refuse_inside_artifact(uri, segments)


def _refuse_inside_artifact(uri: str, segments: Sequence[str]) -> None:
    """Raise BadConfig if the output lies below a published artifact."""
    for end in range(1, len(segments) - 5):
        above = uri.rsplit("/", len(segments) - end - 3)[0]
        if segments[end] in STAGE_NAMES and store.store_of(above).holds(store.join(above, MANIFEST)):
            msg = f"--output {uri}: lies inside the artifact {above}; nothing was touched: choose a place outside of it"
            raise BadConfig(msg)


def require_output_of_any_stage(uri: str, option: str) -> None:
    """Raise BadConfig, naming the option, unless the URI is ``{root}/{stage}/{name}/{version}`` of some stage."""
    segments = store.absolute(uri).rstrip("/").split("/")
    if len(segments) < 4 or segments[-3] not in STAGE_NAMES:
        msg = f"{option} {uri}: not an output of a stage; write {{root}}/{{stage}}/{{name}}/{{version}}, such as store/sft/mine/1"
        raise BadConfig(msg)


def take(uri: str, work: Work, *, resume: bool = False) -> Lease | None:
    """Claim an output, after waiting for another writer's lease. Returns None if that writer has published the same work.

    Raises BadConfig if the output holds files that none of our attempts wrote, StaleOutput if other work was published there,
    WriterStalled if the writer it waits for makes no progress.
    With ``resume``, raises MissingInput if no attempt left anything to resume, StaleOutput if what it left is of other work.
    """
    watched = Watched(uri, work)
    while True:
        names = store.store_of(uri).names(uri)
        claim, version = read(uri)
        # Look for a manifest only after reading the claim: a publisher writes its manifest, then removes its claim.
        if manifests.published(uri, work.fingerprint) is not None:
            return None
        if claim is not None and not watched.is_free(claim):
            time.sleep(watched.poll_s)
            continue
        refuse_foreign(uri, names, claim)
        if resume:
            _require_parts(uri, work, claim, names)
        lease = _follow(uri, first_claim(work, claim), version)
        if lease is None:
            continue  # another writer was faster: look again
        try:
            _report_discarded(uri, work, claim, names)
            store.store_of(uri).tidy(uri)
        except BaseException:
            lease.release()
            raise
        return lease


def _follow(uri: str, claim: Claim, version: int | None) -> Lease | None:
    """Replace this version of the claim; None if another writer was faster. If interrupted half-way, the claim is released."""
    claim_uri = store.join(uri, CLAIM)
    try:
        return Lease(uri, claim, store.store_of(uri).swap(claim_uri, claim.model_dump_json().encode(), version))
    except store.AlreadyThere:
        return None
    except BaseException:
        with suppress(StillhouseError, store.AlreadyThere), outages.at_most(1):
            written, last = read(uri)
            if written == claim:
                released = claim.model_copy(update={"released": True})
                store.store_of(uri).swap(claim_uri, released.model_dump_json().encode(), last)
        raise


def read(uri: str) -> tuple[Claim | None, int | None]:
    """The claim on an output and its version, None if there is none. Raises BadConfig for a file that stillhouse did not write."""
    claim_uri = store.join(uri, CLAIM)
    versioned = store.store_of(claim_uri).read_versioned(claim_uri)
    if versioned is None:
        return None, None
    try:
        return Claim.model_validate_json(versioned[0]), versioned[1]
    except ValidationError as error:
        msg = (
            f"{claim_uri} is not a claim that stillhouse wrote; nothing was touched: choose another version, or remove the "
            "directory yourself"
        )
        raise BadConfig(msg) from error


def parts(claim: Claim, names: Sequence[str]) -> dict[str, str]:
    """Part name -> its stored name, of every part that earlier attempts at the same work left; the latest attempt's counts."""
    origins = [(stored, naming.untagged(stored)) for stored in names]
    ages = {attempt: age for age, attempt in enumerate(claim.attempts)}
    known = sorted((ages[origin[1]], origin[0], stored) for stored, origin in origins if origin and origin[1] in ages)
    return {name: stored for _, name, stored in known}


def refuse_foreign(uri: str, names: Sequence[str], claim: Claim | None) -> None:
    """Raise BadConfig if an output holds a file that no attempt in the claim wrote."""
    foreign = [name for name in names if not _SHARD.fullmatch(name) and name != MANIFEST and not (claim and claim.owns(name))]
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        msg = (
            f"--output {uri}: holds {foreign[0]!r}{more}, which no run of this output wrote; nothing was touched: "
            "choose another version, or empty the directory yourself"
        )
        raise BadConfig(msg)


class Watched:
    """The claim of another writer: whether its lease has run out and whether its work goes on, by this machine's clock."""

    def __init__(self, uri: str, work: Work) -> None:
        self._uri, self._work = uri, work
        self._seen: Claim | None = None
        self._reached: tuple[str, str] | None = None
        self._begun = self._since = self._moved = self._told = time.monotonic()
        self.poll_s = min(LONGEST_POLL_S, environment.number(VARIABLE, LEASE_S) / 10)
        self._stalled_s = environment.number(STALLED, STALLED_S)

    def is_free(self, claim: Claim) -> bool:
        """Whether the output may be taken over; if not, prints now and then which writer this one waits for.

        Raises WriterStalled if that writer renews its claim, and has made no progress for ``STILLHOUSE_STALLED_S``.
        """
        if claim.released or claim.owner.is_gone:
            return True
        now = time.monotonic()
        if claim != self._seen:
            self._seen, self._since = claim, now
        elif now - self._since > claim.lease_s:
            self._tell(f"taking over from {claim.owner}, which no longer renews its claim")
            return True
        if (reached := (claim.owner.attempt, claim.progress)) != self._reached:
            if self._reached is None or self._reached[0] != claim.owner.attempt:
                self._tell(f"waiting for {claim.owner}, which is writing there{self._other_work(claim)}")
                self._begun = self._told = now
            self._reached, self._moved = reached, now
        self._check_progress(claim, now)
        return False

    def _check_progress(self, claim: Claim, now: float) -> None:
        """Print every ten minutes how far the writer is; raise WriterStalled once it has stood still for too long."""
        where, still_s = f" at {claim.progress}" if claim.progress else "", now - self._moved
        if still_s > self._stalled_s:
            msg = (
                f"{self._uri}: {claim.owner} holds this output and renews its claim, but has made no progress for "
                f"{duration(still_s)}{where}; end that process if it hangs, or choose another version, and run this command again"
            )
            raise WriterStalled(msg)
        if now - self._told > TELL_EVERY_S:
            self._told = now
            self._tell(
                f"still waiting for {claim.owner}, for {duration(now - self._begun)}; it is{where or ' writing'}, "
                f"without progress for {duration(still_s)}"
            )

    def _other_work(self, claim: Claim) -> str:
        if claim.work.fingerprint == self._work.fingerprint:
            return ""
        return f" at other work ({self._work.differences(claim.work)}): this one runs only if that one fails"

    def _tell(self, text: str) -> None:
        print(f"  {self._uri}: {printable(text)}", file=sys.stderr, flush=True)


def _report_discarded(uri: str, work: Work, before: Claim | None, names: Sequence[str]) -> None:
    """Print how many files of an earlier attempt are not reused, and why."""
    left = parts(before, names) if before else {}
    if before and left and before.work.fingerprint != work.fingerprint:
        changes = work.differences(before.work)
        print(f"  {uri}: {len(left)} files of an unfinished run are not reused ({changes})", file=sys.stderr, flush=True)


def _require_parts(uri: str, work: Work, claim: Claim | None, names: Sequence[str]) -> None:
    if claim is None or not parts(claim, names):
        msg = f"--resume: no earlier try left anything at {uri}; check --output, or leave --resume out to start"
        raise MissingInput(msg)
    if claim.work.fingerprint != work.fingerprint:
        changes = work.differences(claim.work)
        msg = f"--resume: the unfinished run at {uri} is a different one: {changes}; repeat that command, or leave --resume out"
        raise StaleOutput(msg)
