"""Finds the files of an encoder, on this machine or on the Hugging Face hub; never a pickle."""

from collections.abc import Iterable
from pathlib import Path

import xxhash
from safetensors import SafetensorError

MODEL_FILES = ("*.json", "*.txt", "*.model", "*.safetensors")
LONGEST_REASON = 300  # letters
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
CHUNK_BYTES = 1 << 22
UNFIT = (  # what the libraries are known to raise for a folder or a file that is no model
    OSError,
    ValueError,
    KeyError,
    TypeError,
    RuntimeError,
    AttributeError,
    AssertionError,
    ImportError,
    SafetensorError,
)


class EncoderError(ValueError):
    """An encoder that cannot be opened or trusted; says which, and what to do."""


class NoModelHere(EncoderError):
    """A model that this machine has no files of; a release may do without them."""


def named_folder(model: str) -> Path | None:
    """Return the folder that `model` names on this machine, or None where it is a hub id."""
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    if model.startswith(("/", "./", "../", "~")):
        raise EncoderError(f"encoder {model!r}: there is no such folder")
    return None


def hub_folder(repository: str) -> Path:
    """Return the local copy of a hub repository, downloaded unless it is in the cache.

    Only settings, vocabularies and safetensors are fetched, so no pickle ever arrives.
    """
    from huggingface_hub import snapshot_download

    reason = ""
    for local_files_only in (True, False):
        try:
            folder = Path(
                snapshot_download(
                    repository,
                    allow_patterns=list(MODEL_FILES),
                    local_files_only=local_files_only,
                )
            )
        except (OSError, ValueError) as e:
            reason = first_line(e)
            continue
        if any(folder.rglob("*.safetensors")):
            return folder
        reason = "it has no .safetensors weights"
    raise EncoderError(
        f"encoder {repository!r} is not packaged, not a folder and not in the Hugging Face cache, "
        f"and could not be downloaded ({reason}); give a folder, or download it once on a machine "
        f"with a network: `hf download {repository}`"
    )


def refuse_pickles(folder: Path) -> None:
    """Raise EncoderError where weights would be read from a pickle for want of safetensors."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in PICKLES and not any(path.parent.glob("*.safetensors")):
            raise EncoderError(
                f"{path} is a pickle, which can run code when it is read; convert it to "
                f"{path.with_name('model.safetensors')} (safetensors.torch.save_file)"
            )


def files_fingerprint(folder: Path, *settings: str) -> str:
    """Return 32 hex digits over the model files of a folder and the settings beside them."""
    return fingerprint_with(files_digest(folder), *settings)


def files_digest(folder: Path) -> xxhash.xxh3_128:
    """Return a hash over the model files of a folder, to which settings can be added."""
    digest = xxhash.xxh3_128()
    for path in _model_files(folder):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    return digest


def fingerprint_with(files: xxhash.xxh3_128, *settings: str) -> str:
    """Return 32 hex digits over files that were hashed before and the settings beside them."""
    digest = files.copy()
    for setting in settings:
        digest.update(f"\0{setting}".encode())
    return digest.hexdigest()


def _model_files(folder: Path) -> Iterable[Path]:
    found = {path for pattern in MODEL_FILES for path in folder.rglob(pattern) if path.is_file()}
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def first_line(error: BaseException) -> str:
    """Return what an error says, short enough for one line."""
    return (str(error).splitlines() or [type(error).__name__])[0][:LONGEST_REASON]
