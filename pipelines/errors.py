"""What a user can do wrong; each message says what was given, expected, and what to do."""

from pipelines.verdict import Verdict


class UserError(ValueError):
    """The root: printed as one line, never with a traceback.

    ShopError        a source file or a shop folder that cannot be used
    ReleaseError     a release that is missing, damaged, foreign or not fit to serve
      UnfitDraft       a release that the gate keeps dark
    RequestError     one field of one request
      StaleCursor      a cursor of a list that cannot go on
    LiveError        a log of changes that cannot be used
    TrainingError    data too small, or unfit, to learn from
    TuningError      a study that cannot go on, or in which no trial succeeded
    """


class ShopError(UserError):
    """A source file or a shop folder that cannot be used; names the file."""


class ReleaseError(UserError):
    """A release that is missing, damaged, foreign or not fit to serve; names it."""


class UnfitDraft(ReleaseError):
    """A release that the gate keeps dark; holds its name and what was found."""

    def __init__(self, name: str, verdict: Verdict) -> None:
        found = "; ".join(
            f"{check.name} is {check.value:g}, {'below' if check.least else 'above'} the limit "
            f"{check.limit:g}"
            for check in verdict.failed
        )
        super().__init__(
            f"release {name} is not fit to serve and stays dark: {found}; mend what it was built "
            f"from, or serve it all the same with `vetrina releases publish {name} --force`"
        )
        self.name = name
        self.verdict = verdict


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
