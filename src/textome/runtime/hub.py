"""Bundles on a hub of the Hugging Face kind: fetched by name, pushed with their model card, pulled into a folder.

Only data travel, never files that could run: `PATTERNS`. A token is read where `huggingface_hub` reads it, as from
HF_TOKEN.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from textome.errors import InputError, ModelError

# What travels: data only, nothing that could run.
PATTERNS = ["*.json", "*.safetensors", "*.onnx", "*.txt", "README.md"]
PICKLED = ["pytorch_model*.bin"]
_CARD = "README.md"


def cached(name: str, pickled: bool = False) -> Path:
    """The folder, in the cache of `huggingface_hub`, of a model by its name.

    pickled   also old weights, for `textome convert-checkpoint`

    Raises ModelError where the hub does not give it.
    """
    from huggingface_hub import snapshot_download

    with _hub_errors(f"{name}: no such directory, and the hub did not give it"):
        return Path(snapshot_download(name, allow_patterns=PATTERNS + PICKLED * pickled))


def push(
    directory: Path,
    repository: str,
    card: Mapping[str, object],
    *,
    private: bool = False,
    message: str = "",
    endpoint: str | None = None,
) -> str:
    """Upload a bundle's files in one commit; the repository is made where there is none. Returns the commit's address.

    card       what the head of the model card says where it is silent, as {"license": "apache-2.0"}
    private    whether a new repository is
    endpoint   another hub

    Raises ModelError for what the hub refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    files = [path for path in sorted(directory.iterdir()) if path.is_file() and _travels(path.name)]
    operations = [CommitOperationAdd(path.name, path) for path in files if path.name != _CARD]
    operations.append(CommitOperationAdd(_CARD, with_head(_card_of(directory), card).encode()))
    api = HfApi(endpoint=endpoint)
    with _hub_errors(f"{repository}: the hub did not take the model"):
        api.create_repo(repository, private=private, exist_ok=True)
        commit = api.create_commit(repository, operations, commit_message=message or f"Push {directory.resolve().name}")
    return str(commit.commit_url)


def pull(repository: str, output: Path, *, revision: str | None = None, endpoint: str | None = None) -> Path:
    """Download a model into the folder `output`, which appears whole or not at all; a stopped download goes on.

    revision   a branch, tag or commit; default: the main branch
    endpoint   another hub

    Raises InputError where the folder is there already, ModelError where the hub does not give the model.
    """
    from huggingface_hub import snapshot_download

    if output.exists():
        raise InputError(f"{output}: this is there already; name a folder that is not")
    draft = output.with_name(f".{output.name}.partial")
    with _hub_errors(f"{repository}: the hub did not give it"):
        snapshot_download(repository, revision=revision, local_dir=draft, allow_patterns=PATTERNS, endpoint=endpoint)
    shutil.rmtree(draft / ".cache", ignore_errors=True)
    if not any(draft.iterdir()):
        raise ModelError(f"{repository}: there are no files of a model in it")
    draft.rename(output)
    return output


def with_head(card: str, head: Mapping[str, object]) -> str:
    """A model card with these members in its YAML head, besides those that it has."""
    from huggingface_hub import ModelCard

    parsed = ModelCard(card, ignore_metadata_errors=True)
    for key, value in head.items():
        if parsed.data.get(key) is None:
            setattr(parsed.data, key, value)
    return str(parsed)


def _card_of(directory: Path) -> str:
    path = directory / _CARD
    return path.read_text(encoding="utf-8") if path.is_file() else f"# {directory.resolve().name}\n"


def _travels(name: str) -> bool:
    return any(Path(name).match(pattern) for pattern in PATTERNS)


@contextmanager
def _hub_errors(what: str) -> Iterator[None]:
    """Whatever the hub or the way to it says, as one sentence."""
    import httpx2
    from huggingface_hub.errors import HFValidationError

    try:
        yield
    except (OSError, ValueError, HFValidationError, httpx2.HTTPError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        advice = "check the name, the connection and, for what is private, HF_TOKEN"
        raise ModelError(f"{what} ({reason}); {advice}") from error
