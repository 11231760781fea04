"""Admission control: which requests are worked on, in which order, and which are refused."""

from pipelines.serving.admission.control import AdmissionControl, Arrival, ServedEngine
from pipelines.serving.admission.deadline_queue import QUEUED_PER_THREAD
from pipelines.serving.admission.errors import ClientLeft, Overloaded, StageTimeout, Unavailable

__all__ = [
    "QUEUED_PER_THREAD",
    "AdmissionControl",
    "Arrival",
    "ClientLeft",
    "Overloaded",
    "ServedEngine",
    "StageTimeout",
    "Unavailable",
]
