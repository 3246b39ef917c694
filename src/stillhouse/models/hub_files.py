"""Download the files of one commit of a hub model, once for all processes that share the cache, going on where a try broke off.

huggingface_hub throws away what it has of a file when its process ends. Large files are therefore fetched here, into the place in
the cache where it looks for them, and keep what they have; their sha256 is checked, since two tries wrote them.
"""

import json
import time
from collections.abc import Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_url, snapshot_download
from huggingface_hub.constants import DEFAULT_REVISION, MAX_HTTP_DOWNLOAD_SIZE
from huggingface_hub.file_download import http_get, repo_folder_name
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils.tqdm import silent_tqdm

from stillhouse.artifacts.digests import sha256
from stillhouse.errors import HubFailed
from stillhouse.execution import progress_bar
from stillhouse.models import weight_files
from stillhouse.models.cache import hub_cache, locked, require_room
from stillhouse.models.references import HubModel

WORKERS = 8
"""Files fetched at a time."""
TELL_S = 10.0
"""Seconds between two lines of progress."""
KEPT = ("*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken", "*.py", "LICENSE*", "NOTICE*", "README.md")
"""Files besides the weights that a model may need."""
MODULES = "[0-9]*_*/*"
"""The directories of an embedding model's further layers."""


def complete(model: HubModel) -> Path | None:
    """The model's directory in the cache, if an earlier download finished and all its files are there; asks nobody."""
    folder = _folder(model)
    try:
        sizes: dict[str, int] = json.loads(_record(model).read_bytes())
    except (OSError, ValueError):
        return None
    snapshot = folder / "snapshots" / str(model.revision)
    present = all((snapshot / name).is_file() and (snapshot / name).stat().st_size == size for name, size in sizes.items())
    return snapshot if sizes and present else None


def note_commit(model: HubModel, commit: str) -> None:
    """Note in the cache, if it may be written, which commit the revision stands for."""
    note = _folder(model) / "refs" / (model.revision or DEFAULT_REVISION)
    with suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(commit, encoding="ascii")


def download(api: HfApi, model: HubModel) -> Path:
    """The model's directory in the cache, with all its files. Raises what huggingface_hub raises, and MissingInput.

    MissingInput: the disk has no room, or the repository holds no weights that may be loaded.
    """
    with locked(_folder(model)):
        if (snapshot := complete(model)) is not None:  # another process was first
            return snapshot
        tree = api.list_repo_tree(model.repo, recursive=True, revision=model.revision)
        files = _wanted(model, {entry.path: entry for entry in tree if isinstance(entry, RepoFile)})
        _with_progress(api, model, files)
        snapshot = Path(
            snapshot_download(
                model.repo, revision=model.revision, cache_dir=hub_cache(), endpoint=api.endpoint, tqdm_class=silent_tqdm,
                allow_patterns=[escape(name) for name in files], max_workers=WORKERS,
            )
        )  # fmt: skip
        _record(model).parent.mkdir(parents=True, exist_ok=True)
        _record(model).write_text(json.dumps({name: file.size for name, file in files.items()}), encoding="utf-8")
        return snapshot


def _folder(model: HubModel) -> Path:
    return hub_cache() / repo_folder_name(repo_id=model.repo, repo_type="model")


def _record(model: HubModel) -> Path:
    """Where it is written down that all files of the commit are there, with their sizes."""
    return _folder(model) / "stillhouse" / f"{model.revision}.json"


def _wanted(model: HubModel, files: Mapping[str, RepoFile]) -> dict[str, RepoFile]:
    """The weights and what is needed to load them; other directories hold the same model in other formats."""
    top = [name for name in files if "/" not in name]
    wanted = weight_files.chosen(top, str(model)) | {name for name in top if any(fnmatchcase(name, kept) for kept in KEPT)}
    wanted |= {name for name in files if fnmatchcase(name, MODULES) and name.endswith((".json", ".safetensors"))}
    return {name: files[name] for name in sorted(wanted)}


def _with_progress(api: HfApi, model: HubModel, files: Mapping[str, RepoFile]) -> None:
    """Fetch the large files, and say now and then how many bytes are there."""
    large = {file.lfs.sha256: (name, file.size) for name, file in files.items() if file.lfs is not None}
    large = {digest: (name, size) for digest, (name, size) in large.items() if size <= MAX_HTTP_DOWNLOAD_SIZE}
    blobs, total = _folder(model) / "blobs", sum(file.size for file in files.values())
    blobs.mkdir(parents=True, exist_ok=True)

    def present() -> int:
        return sum(path.stat().st_size for digest in large for path in (blobs / digest, _partial(blobs, digest)) if path.exists())

    require_room(blobs, total - present(), str(model))
    with ThreadPoolExecutor(WORKERS) as pool:
        pending: set[Future[None]] = {
            pool.submit(_fetch_large, api, model, name, size, blobs / digest)
            for digest, (name, size) in large.items()
            if not (blobs / digest).exists()
        }
        told_at = 0.0
        try:
            while pending:
                done, pending = wait(pending, timeout=1, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
                if time.monotonic() - told_at > TELL_S or not pending:
                    progress_bar.show(present(), total, f"bytes of {model}")
                    told_at = time.monotonic()
        finally:
            for future in pending:
                future.cancel()


def _fetch_large(api: HfApi, model: HubModel, name: str, size: int, blob: Path) -> None:
    """Fetch one file, from where an earlier try broke off. Raises HubFailed if what was received is not the file."""
    partial = _partial(blob.parent, blob.name)
    url = hf_hub_url(model.repo, name, revision=model.revision, endpoint=api.endpoint)
    with partial.open("ab") as file:
        headers = api._build_hf_headers()
        http_get(url, file, resume_size=file.tell(), headers=headers, expected_size=size, tqdm_class=silent_tqdm)
    if (digest := sha256(partial)) != blob.name:
        partial.unlink()
        msg = f"model {model}: {name} arrived damaged: its sha256 is {digest[:16]}, the hub says {blob.name[:16]}"
        raise HubFailed(msg)
    partial.rename(blob)


def _partial(blobs: Path, digest: str) -> Path:
    return blobs / f"{digest}.stillhouse"
