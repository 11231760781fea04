"""What a user can do wrong; each message says what was given, expected, and what to do."""


class UserError(ValueError):
    """The root: printed as one line, never with a traceback.

    ShopError        a source file or a shop folder that cannot be used
    ReleaseError     a release that is missing, damaged, foreign or not fit to serve
    RequestError     one field of one request
    LiveError        a log of changes that cannot be used
    TrainingError    data too small, or unfit, to learn from
    TuningError      a study that cannot go on, or in which no trial succeeded
    """


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


class TrainingError(UserError):
    """Data that is too small, or unfit, to learn from; says how much there is."""


class TuningError(UserError):
    """A study that cannot go on, or in which no trial succeeded; names the folder or the reason."""
