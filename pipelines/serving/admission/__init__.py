"""Admission control: which requests are worked on, in which order, and which are refused."""

from pipelines.serving.admission.control import (
    DEADLINE_HEADER,
    AdmissionControl,
    Arrival,
)
from pipelines.serving.admission.deadline_queue import QUEUED_PER_THREAD
from pipelines.serving.admission.errors import ClientLeft, Overloaded, StageTimeout, Unavailable
from pipelines.serving.admission.served_engine import ServedEngine

__all__ = [
    "DEADLINE_HEADER",
    "QUEUED_PER_THREAD",
    "AdmissionControl",
    "Arrival",
    "ClientLeft",
    "Overloaded",
    "ServedEngine",
    "StageTimeout",
    "Unavailable",
]
