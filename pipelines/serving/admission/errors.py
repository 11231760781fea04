"""Why a request is not answered, though nothing is wrong with it."""


class Unavailable(Exception):
    """The server cannot answer this request now, because it is opening or ending."""


class Overloaded(Exception):
    """More is asked of the server than it can do in time; trying again later helps."""

    def __init__(self, message: str, retry_seconds: int = 1) -> None:
        super().__init__(f"{message}; try again in {retry_seconds} s")
        self.retry_seconds = retry_seconds


class StageTimeout(Exception):
    """A stage did not end, long after the deadline of the request."""

    def __init__(self, stage: str, seconds: float) -> None:
        super().__init__(f"the stage `{stage}` did not end within {seconds:.1f} s")
        self.stage = stage


class ClientLeft(Exception):
    """The client closed its connection before it was answered."""
