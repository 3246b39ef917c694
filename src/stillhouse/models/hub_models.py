"""Models of the Hugging Face hub, by huggingface_hub: which commit a revision stands for, and its files in the cache.

``HF_ENDPOINT``, ``HF_TOKEN``, ``HF_HOME`` and ``HF_HUB_OFFLINE`` mean what they mean to huggingface_hub.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError is httpx's or requests', as the hub client is
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    RevisionResolutionError,
)

from stillhouse.errors import HubFailed, MissingInput, StillhouseError
from stillhouse.models import hub_files
from stillhouse.models.cache import hub_cache
from stillhouse.models.pins import Pin
from stillhouse.models.references import HubModel
from stillhouse.vocabulary import environment
from stillhouse.vocabulary.masking import one_line
from stillhouse.vocabulary.patience import retried
from stillhouse.vocabulary.text import shortened

T = TypeVar("T")

PATIENCE_S = 120.0
SHOWN_CHARS = 300


def pin(model: HubModel) -> Pin:
    """The commit that the revision stands for now. A full commit hash is taken as it is, without asking.

    Raises MissingInput for an unknown, gated or private repository or an unknown revision, HubFailed if the hub does not answer.
    """
    commit = model.revision if model.fixed else answered(model, lambda: _resolved(model))
    return Pin("hub", f"hf://{model.repo}@{commit}", f"{model.repo}@{commit}")


def fetch(model: HubModel) -> Path:
    """The local directory with the files of a pinned model, downloaded once by all processes that share the cache.

    Raises what ``pin`` raises, and MissingInput if the disk has no room or the repository has no weights that may be loaded.
    """
    if (complete := hub_files.complete(model)) is not None:
        return complete
    if is_offline():
        return answered(model, lambda: _cached(model))
    return answered(model, lambda: hub_files.download(_api(), model))


def endpoint() -> str:
    """The hub's address."""
    return environment.text("HF_ENDPOINT", constants.ENDPOINT).rstrip("/")


def is_offline() -> bool:
    """Whether the hub may not be asked; huggingface_hub reads the same two variables, once, at its import."""
    said = environment.text("HF_HUB_OFFLINE") or environment.text("TRANSFORMERS_OFFLINE")
    return said.upper() in constants.ENV_VARS_TRUE_VALUES


def _api() -> HfApi:
    return HfApi(endpoint=endpoint(), library_name="stillhouse")


def _resolved(model: HubModel) -> str:
    """The commit by the hub, noted where huggingface_hub looks when it is offline; offline, the commit of the last note."""
    if is_offline():
        revision = _api().resolve_revision(model.repo, revision=model.revision, cache_dir=hub_cache(), local_files_only=True)
        return str(revision.resolved)
    commit = str(_api().model_info(model.repo, revision=model.revision).sha)
    hub_files.note_commit(model, commit)
    return commit


def _cached(model: HubModel) -> Path:
    return Path(snapshot_download(model.repo, revision=model.revision, cache_dir=hub_cache(), local_files_only=True))


def answered(model: HubModel, call: Callable[[], T]) -> T:
    """What the call returns, tried again for a while if the hub fails."""
    patience_s = environment.number("STILLHOUSE_STORE_PATIENCE_S", PATIENCE_S)

    def once() -> T:
        with _translated(model):
            return call()

    return retried(once, until_s=time.monotonic() + patience_s, is_refusal=lambda error: not isinstance(error, HubFailed))


@contextmanager
def _translated(model: HubModel) -> Iterator[None]:
    """The hub client's errors as ours, in one line."""
    try:
        yield
    except StillhouseError:
        raise
    except (LocalEntryNotFoundError, RevisionResolutionError) as error:
        raise _not_cached(model, error) from error
    except HfHubHTTPError as error:
        raise _refused(model, error) from error
    except (HTTPError, ConnectionError, TimeoutError) as error:
        raise _silent(model, error) from error
    except OSError as error:
        if error.errno is not None:  # of this machine's disk, which the command line explains
            raise
        msg = f"model {model}: the download broke off ({_why(error)}); run the same command again to go on"
        raise HubFailed(msg) from error


def _refused(model: HubModel, error: HfHubHTTPError) -> StillhouseError:
    """The error for a reply of the hub that is no success."""
    status, where = error.response.status_code, f"{endpoint()}/{model.repo}"
    token = "HF_TOKEN" if environment.text("HF_TOKEN") else "no HF_TOKEN"
    if isinstance(error, GatedRepoError):
        remedy = "accept its terms there, and set HF_TOKEN to a token of that account"
        return MissingInput(f"model {model}: {where} is gated, and was asked for with {token}; {remedy}")
    if isinstance(error, RepositoryNotFoundError):
        remedy = "check the name, or set HF_TOKEN if it is private"
        return MissingInput(f"model {model}: not found at {where}, asked for with {token}; {remedy}")
    if isinstance(error, RevisionNotFoundError):
        remedy = "name a branch, a tag or a full commit of it"
        return MissingInput(f"model {model}: {where} has no revision {model.revision}; {remedy}")
    if status == 401:
        return MissingInput(f"model {model}: {endpoint()} does not know the token in HF_TOKEN; set a valid one, or unset it")
    if status < 500 and status not in {408, 429}:
        return MissingInput(f"model {model}: {endpoint()} refuses the request ({_why(error)}); check HF_TOKEN and what it may read")
    words = "asks for fewer requests (429)" if status == 429 else f"failed ({status})"
    return HubFailed(f"model {model}: {endpoint()} {words}, also when it was asked again; run the same command later")


def _not_cached(model: HubModel, error: Exception) -> StillhouseError:
    """The error for a model that neither the hub nor the cache gives."""
    if not is_offline():
        return _silent(model, error)
    remedy = f"unset both, or run `stillhouse fetch {model}` with the same HF_HOME where the hub can be reached"
    return MissingInput(
        f"model {model}: HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set, and {hub_cache()} does not hold it; {remedy}"
    )


def _silent(model: HubModel, error: Exception) -> StillhouseError:
    return HubFailed(f"model {model}: {endpoint()} does not answer ({_why(error)}); check the network and HF_ENDPOINT")


def _why(error: Exception) -> str:
    return shortened(one_line(error), SHOWN_CHARS)
