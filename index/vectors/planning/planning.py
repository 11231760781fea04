"""Plans an index: chooses a design by memory, recall and counted work, and measures its effort."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from time import process_time
from typing import NamedTuple

import msgspec
import numpy as np
from jaxtyping import Float32, Int64
from msgspec import structs

from index.errors import IndexFault
from index.types import Hits
from index.vectors.approximate import ApproximateIndex
from index.vectors.libraries.faiss_index import FaissIndex
from index.vectors.planning.designs import BY_NAME, DESIGNS, Cost, Design, cells_of, design_named
from index.vectors.planning.recall_curve import (
    RecallCurve,
    measured_curve,
    recall_at_k,
    true_hits,
)
from index.vectors.scans.byte_codes import LEAST_DIM, ByteCodes

FLAT_BELOW = 20_000  # vectors; comparing them all takes a few milliseconds
SAMPLE = 10_000  # rows that designs are tried on, where there are more
SPARE = 0.1  # of what may be missed: so much more is found, as other queries miss more by chance

Vectors = Float32[np.ndarray, "n d"]
Queries = Float32[np.ndarray, "q d"]
Rows = Int64[np.ndarray, "m"]


class IndexRequirements(NamedTuple):
    """The requirements of an index; the seed makes the same choice again."""

    k: int = 100
    recall: float = 0.95
    memory_bytes: int = 0  # 0: as much as it takes
    kind: str = ""  # a design by name; "": chosen
    factory: str = ""  # a FAISS factory string, before any design
    seed: int = 0  # of the sample


UNCONSTRAINED = IndexRequirements()


class PreviousIndex(NamedTuple):
    """An earlier index, of vectors much like these."""

    kind: str  # the name of its design
    file: Path


class RecallTarget(NamedTuple):
    """Queries with their true answers, and the share of these that has to be found."""

    queries: Queries
    truth: list[Hits]
    recall: float


class DesignTrial(msgspec.Struct, frozen=True, kw_only=True):
    """The trial of one design: measured on a sample, and extrapolated to all rows."""

    kind: str
    form: str
    num_bytes: int  # of all rows
    build_seconds: float = 0.0  # of processor time, for all rows
    effort: int = 0  # on the sample
    recall: float = 0.0
    meets: bool = False  # the required recall
    micros: float = 0.0  # processor time of one query on the sample
    cost: float = 0.0  # microseconds of one query on all rows, by counted work
    why: str = ""  # it was not tried, or not taken
    chosen: bool = False


class PlannedIndex(NamedTuple):
    """An index with what it was measured to find, and what it was chosen from."""

    built: ApproximateIndex
    factory: str
    effort: int
    recall: float
    kind: str = ""
    curve: RecallCurve | None = None
    choices: tuple[DesignTrial, ...] = ()


def plan(num_vectors: int) -> str:
    """Return the FAISS factory string for this many vectors: flat, or an inverted file."""
    return "Flat" if num_vectors < FLAT_BELOW else f"IVF{cells_of(num_vectors)},Flat"


def build_index(
    vectors: Vectors,
    queries: Queries,
    requirements: IndexRequirements = UNCONSTRAINED,
    *,
    rows: Rows | None = None,
    before: PreviousIndex | None = None,
) -> PlannedIndex:
    """Choose a design, build it, and give it little more effort than meets the recall target.

    A design that misses the target at its most effort is replaced by the next best, in the end by
    a flat one, or by what finds most where none is enough; one that was asked for by name, as a
    kind or a factory string, is kept. The design of an index from `before` is taken again without
    trying others while it meets the target. Beside it stand the rows as bytes, to scan those that
    pass a filter, unless there are few rows, or short ones, or too little memory for both, or the
    index compares all vectors as it is.
    """
    rows = np.arange(len(vectors)) if rows is None else rows
    planned = _built(vectors, queries, rows, requirements, before)
    planned.built.codes = _codes(planned, vectors, rows, requirements)
    return planned


def _built(
    vectors: Vectors,
    queries: Queries,
    rows: Rows,
    requirements: IndexRequirements,
    before: PreviousIndex | None,
) -> PlannedIndex:
    target = RecallTarget(
        queries, true_hits(vectors, queries, requirements.k, rows), requirements.recall
    )
    preset = _preset(requirements, len(rows))
    shape = len(rows), vectors.shape[1]
    reused = None if before is None else _reusable(before, preset, shape, requirements)
    if reused is not None:
        planned = _planned(reused, vectors, rows, target, before)
        if planned.recall >= requirements.recall:
            return planned
    if preset is not None:
        return _planned(preset, vectors, rows, target)
    return _chosen(vectors, rows, target, requirements)


def _codes(
    planned: PlannedIndex, vectors: Vectors, rows: Rows, requirements: IndexRequirements
) -> ByteCodes | None:
    """Return the rows as bytes, where these are worth their memory and that is allowed."""
    shape = len(rows), vectors.shape[1]
    if shape[0] < FLAT_BELOW or shape[1] < LEAST_DIM or planned.built.shape.kind == "flat":
        return None
    left = float("inf")
    if requirements.memory_bytes:
        named = planned.kind in BY_NAME  # what a factory string takes is not known
        left = requirements.memory_bytes - BY_NAME[planned.kind].num_bytes(*shape) if named else 0
    if left < shape[0] * shape[1]:
        return None
    codes = ByteCodes.build(vectors, rows)
    return None if codes is None or codes.num_bytes > left else codes


def _reusable(
    before: PreviousIndex,
    preset: Design | None,
    shape: tuple[int, int],
    requirements: IndexRequirements,
) -> Design | None:
    """Return the design to take again: that of before, unless another one is asked for.

    None where it cannot be built here, or would take more memory by now than is allowed.
    """
    if preset is not None:
        return preset if preset.name == before.kind else None
    design = BY_NAME.get(before.kind)
    return None if design is None or _why_not(design, shape, requirements) else design


def _chosen(
    vectors: Vectors, rows: Rows, target: RecallTarget, requirements: IndexRequirements
) -> PlannedIndex:
    """Build the designs of a survey in turn until one meets the target; else take the best."""
    choices = survey(vectors, target.queries, rows, requirements)
    recalls: dict[str, float] = {}
    best: PlannedIndex | None = None
    for design in _in_turn(choices):
        planned = _planned(design, vectors, rows, target)
        recalls[design.name] = planned.recall
        if best is None or planned.recall > best.recall:
            best = planned
        if planned.recall >= target.recall:
            break
    assert best is not None, "a survey without a design that was tried is an error"
    return best._replace(choices=_as_built(choices, best.kind, recalls))


def _as_built(
    choices: tuple[DesignTrial, ...], kind: str, recalls: dict[str, float]
) -> tuple[DesignTrial, ...]:
    """Say of each design that was built for all rows, and not taken, what it found there."""
    instead = "chosen: what has less work finds less in all rows"
    return tuple(
        one
        if one.kind not in recalls or (one.chosen and one.kind == kind)
        else structs.replace(one, chosen=True, why=instead)
        if one.kind == kind
        else structs.replace(
            one, chosen=False, why=f"finds {recalls[one.kind]:.3f} at most in all rows"
        )
        for one in choices
    )


def _planned(
    design: Design,
    vectors: Vectors,
    rows: Rows,
    target: RecallTarget,
    before: PreviousIndex | None = None,
) -> PlannedIndex:
    """Build a design and find its effort; cells of `before` are kept where it has the same."""
    form = design.filled(len(rows), vectors.shape[1])
    index: ApproximateIndex | None = None
    if before is not None and not design.by_svs:
        index = FaissIndex.refilled(before.file, vectors, form, rows, design.deeper)
    index = index or design.build(vectors, rows)
    curve = _tuned(index, design, target, SPARE * (1 - target.recall))
    index.recall = recall_at_k(index, target.queries, target.truth)
    return PlannedIndex(index, form, index.effort, index.recall, design.name, curve)


def _tuned(
    index: ApproximateIndex, design: Design, target: RecallTarget, spare: float = 0.0
) -> RecallCurve:
    """Search an index as deep, and with as much effort, as finds enough with the least work.

    Where no depth finds enough, it is the one that finds most.
    """

    def tried(deeper: float) -> tuple[tuple[bool, float], float, int, RecallCurve]:
        index.deeper = deeper
        curve = measured_curve(index, target.queries, target.truth, target.recall, spare)
        met, shape = curve.least(target.recall), (len(index.rows), index.dim)
        work = design.nanoseconds(met.effort, *shape, deeper) if met else -curve.points[-1].recall
        return (met is None, work), deeper, index.effort, curve

    tries = [tried(deeper) for deeper in design.depths]
    _, index.deeper, index.effort, curve = min(tries, key=lambda one: one[0])
    return curve


def survey(
    vectors: Vectors,
    queries: Queries,
    rows: Rows,
    requirements: IndexRequirements,
    sample: int = SAMPLE,
) -> tuple[DesignTrial, ...]:
    """Try every design that fits on a seeded sample of the rows, and mark the one to choose.

    Chosen is the least cost by counted work among those that fit the memory and find enough, so
    that the same vectors, queries and seed give the same choice on a busy machine and an idle one.
    """
    drawn = _sample(rows, requirements.seed, sample)
    target = RecallTarget(
        queries, true_hits(vectors, queries, requirements.k, drawn), requirements.recall
    )
    shape = (len(rows), vectors.shape[1])
    trials = [
        _refused(design, shape, why)
        if (why := _why_not(design, shape, requirements))
        else _tried(design, vectors, drawn, target, shape)
        for design in DESIGNS
    ]
    return _marked(trials, requirements)


def _preset(requirements: IndexRequirements, num_rows: int) -> Design | None:
    """Return the design that needs no survey: named, or flat as there are few rows."""
    if requirements.factory:
        form = requirements.factory.replace("{", "{{").replace("}", "}}")
        return Design("factory", form, "scan", Cost(0.0), lambda _: 0)
    if requirements.kind and num_rows >= design_named(requirements.kind).least_rows:
        return design_named(requirements.kind)
    return design_named("flat") if num_rows < FLAT_BELOW else None


def _in_turn(choices: Iterable[DesignTrial]) -> Iterator[Design]:
    """Yield what may be built: the chosen, then the others by recall met and cost."""
    able = [choice for choice in choices if choice.effort or choice.recall]
    order = sorted(able, key=lambda one: (not one.chosen, not one.meets, one.cost))
    yield from (design_named(choice.kind) for choice in order)


def _sample(rows: Rows, seed: int, size: int) -> Int64[np.ndarray, "s"]:
    if len(rows) <= size:
        return rows
    drawn = np.random.default_rng(seed).choice(len(rows), size, replace=False)
    return rows[np.sort(drawn)]


def _why_not(design: Design, shape: tuple[int, int], requirements: IndexRequirements) -> str:
    needed = design.num_bytes(*shape)
    if requirements.memory_bytes and needed > requirements.memory_bytes:
        return f"takes {megabytes(needed)}, and {megabytes(requirements.memory_bytes)} are allowed"
    return design.why_not(*shape)


def _refused(design: Design, shape: tuple[int, int], why: str) -> DesignTrial:
    form, num_bytes = design.filled(*shape), design.num_bytes(*shape)
    return DesignTrial(kind=design.name, form=form, num_bytes=num_bytes, why=why)


def _tried(
    design: Design, vectors: Vectors, rows: Rows, target: RecallTarget, shape: tuple[int, int]
) -> DesignTrial:
    """Build a design on the sample, give it the effort it needs, and reckon what all rows take."""
    started = process_time()
    index = design.build(vectors, rows)
    seconds = process_time() - started
    curve = _tuned(index, design, target)
    point = curve.least(target.recall) or curve.points[-1]
    effort = design.grown(point.effort, len(rows), shape[0])
    return DesignTrial(
        kind=design.name,
        form=design.filled(*shape),
        num_bytes=design.num_bytes(*shape),
        build_seconds=seconds * shape[0] / len(rows),
        effort=point.effort,
        recall=point.recall,
        micros=point.micros,
        cost=design.nanoseconds(effort, *shape, index.deeper) / 1_000,
        meets=point.recall >= target.recall,
    )


def _marked(trials: list[DesignTrial], requirements: IndexRequirements) -> tuple[DesignTrial, ...]:
    """Mark the cheapest that meets the target, and say of each other why it is not taken."""
    tried = [trial for trial in trials if trial.recall]
    if not tried:
        least = min(trials, key=lambda trial: trial.num_bytes)
        raise IndexFault(
            f"index.memory={megabytes(requirements.memory_bytes)} is too little for any index; the "
            f"smallest, {least.kind}, takes {megabytes(least.num_bytes)}"
        )
    best = min(
        tried,
        key=lambda one: (not one.meets, -one.recall if not one.meets else 0.0, one.cost),
    )
    return tuple(
        structs.replace(one, why=_why(one, best, requirements), chosen=one is best)
        for one in trials
    )


def _why(one: DesignTrial, best: DesignTrial, requirements: IndexRequirements) -> str:
    if one.why:
        return one.why
    if one is best:
        return (
            "chosen: the least work of those that fit and find enough"
            if one.meets
            else ("chosen: nothing that fits finds enough, and it finds most")
        )
    if not one.meets:
        return f"finds {one.recall:.3f} at most, and {requirements.recall:.3f} are wanted"
    return f"{one.cost / best.cost:.1f} times the work"


def megabytes(num_bytes: int) -> str:
    """Write a size for people."""
    return f"{num_bytes / 1e6:,.1f} MB"
