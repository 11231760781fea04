from pathlib import Path

import numpy as np
import pytest

import index.vectors.libraries.svs_index
from index import (
    DESIGNS,
    DamagedIndex,
    DesignTrial,
    ExactIndex,
    FaissIndex,
    IndexFault,
    IndexRequirements,
    PreviousIndex,
    SvsIndex,
    build_index,
    measured_curve,
    open_index,
    plan,
    recall_at_k,
    recall_of_each,
    save_index,
    survey,
    true_hits,
    why_no_svs,
)
from index.types import Hits, Way
from index.vectors.libraries.svs_index import _marked as marked_padding
from index.vectors.planning import designs
from index.vectors.planning import planning as planning_module
from index.vectors.planning.designs import design_named
from index.vectors.planning.planning import _marked as marked
from tests.assertions import each, every

needs_svs = pytest.mark.skipif(bool(why_no_svs()), reason=why_no_svs() or "SVS is here")
DIM = 32
CENTRES = np.random.default_rng(9).normal(size=(60, DIM))


@pytest.mark.parametrize(
    ("num_vectors", "factory"), [(10, "Flat"), (19_999, "Flat"), (92_000, "IVF1024,Flat")]
)
def test_a_plan_follows_the_size(num_vectors: int, factory: str) -> None:
    assert plan(num_vectors) == factory


def test_few_vectors_are_all_compared() -> None:
    planned = build_index(clustered(500), clustered(20, seed=1), IndexRequirements(k=10))

    assert (planned.kind, planned.recall, planned.choices) == ("flat", 1.0, ())


def test_effort_is_raised_until_the_recall_is_there() -> None:
    vectors = clustered(3_000)

    lazy = FaissIndex.build(vectors, "IVF128,Flat")
    lazy.effort = 1
    planned = build_index(
        vectors, vectors[:50], IndexRequirements(factory="IVF128,Flat", recall=0.99)
    )

    truth = FaissIndex.build(vectors).search(vectors[:50], 100)
    assert planned.recall >= 0.99
    assert recall_at_k(lazy, vectors[:50], truth) < 0.99


def test_little_more_effort_is_taken_than_the_recall_needs() -> None:
    vectors, queries = clustered(3_000), clustered(50, seed=1)
    planned = build_index(vectors, queries, IndexRequirements(factory="IVF64,Flat", recall=0.99))

    planned.built.effort = int(0.9 * planned.effort) - 1

    assert recall_at_k(planned.built, queries, true_hits(vectors, queries, 100)) < 0.991


def test_recall_rises_along_a_curve() -> None:
    vectors, queries = clustered(4_000), clustered(50, seed=1)
    index = FaissIndex.build(vectors, "HNSW8,Flat")

    curve = measured_curve(index, queries, true_hits(vectors, queries, 10), 0.98)

    efforts, recalls = ([getattr(p, name) for p in curve.points] for name in ("effort", "recall"))
    assert len(curve.points) > 3
    assert efforts == sorted(set(efforts))
    assert recalls == sorted(set(recalls))
    assert every(point.micros > 0 for point in curve.points)


def test_true_answers_are_those_of_exact_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.vectors.planning.recall_curve.AT_ONCE", 64)
    vectors, queries = clustered(500), clustered(5, seed=1)
    vectors[100:130] = vectors[0]  # ties, which the lower rows win
    queries[0] = vectors[0]

    found = true_hits(vectors, queries, 20)

    for ours, exact in zip(found, ExactIndex(vectors).search(queries, 20), strict=True):
        np.testing.assert_allclose(ours.scores, exact.scores, atol=1e-6)
    assert list(found[0].rows) == [0, *range(100, 119)]


@pytest.mark.parametrize("design", DESIGNS, ids=[design.name for design in DESIGNS])
def test_every_design_finds_what_is_wanted_and_says_what_it_holds(
    design: designs.Design, tmp_path: Path
) -> None:
    vectors, queries = clustered(4_000), clustered(40, seed=1)
    if reason := design.why_not(*vectors.shape):
        pytest.skip(reason)

    built = design.build(vectors, np.arange(len(vectors)))
    built.deeper = design.depths[-1]
    curve = measured_curve(built, queries, true_hits(vectors, queries, 10), 0.9)
    save_index(built, tmp_path / "x.faiss")

    assert curve.points[-1].recall >= 0.9
    on_disk = sum(f.stat().st_size for f in tmp_path.rglob("*") if "rows" not in f.name)
    assert design.num_bytes(*vectors.shape) == pytest.approx(on_disk, rel=0.35)


@pytest.mark.parametrize("design", DESIGNS, ids=[design.name for design in DESIGNS])
def test_every_design_answers_filters_exactly_and_as_before_once_it_is_opened(
    design: designs.Design, tmp_path: Path
) -> None:
    vectors, queries = clustered(3_000), clustered(10, seed=1)
    if reason := design.why_not(*vectors.shape):
        pytest.skip(reason)
    rows = np.arange(0, 3_000, 2)
    allowed = np.random.default_rng(2).random(3_000) < 0.2
    built = design.build(vectors, rows)
    measured_curve(built, queries, true_hits(vectors, queries, 10, rows), 0.95)
    save_index(built, tmp_path / "x.faiss")

    opened = open_index(tmp_path / "x.faiss", vectors)

    assert type(opened) is type(built)
    assert (opened.effort, opened.deeper) == (built.effort, built.deeper)
    for mask in (None, allowed):
        for one, other in zip(
            built.search(queries, 10, mask), opened.search(queries, 10, mask), strict=True
        ):
            np.testing.assert_array_equal(one.rows, other.rows)
            assert set(one.rows) <= set(rows)
            assert mask is None or mask[one.rows].all()
    truth = true_hits(vectors, queries, 10, rows[allowed[rows]])
    found = [hits.rows for hits in opened.search(queries, 10, allowed)]
    shares = [np.isin(t.rows, f).mean() for t, f in zip(truth, found, strict=True)]
    assert np.mean(shares) >= 0.95


def test_compressed_designs_score_by_the_vectors_themselves() -> None:
    vectors, queries = clustered(3_000), clustered(10, seed=1)

    for name in ("hnsw-sq8", "ivf-sq8", "ivf-pq", "ivf-rabitq"):
        [*answers] = design_named(name).build(vectors, np.arange(3_000)).search(queries, 10)

        for query, hits in each(zip(queries, answers, strict=True)):
            np.testing.assert_allclose(hits.scores, vectors[hits.rows] @ query, atol=1e-5)


def test_a_survey_takes_the_least_work_that_fits_and_finds_enough() -> None:
    vectors, queries = clustered(5_000), clustered(40, seed=1)
    rows = np.arange(5_000)

    free = survey(vectors, queries, rows, IndexRequirements(k=10), 2_000)
    sizes = {choice.kind: choice.num_bytes for choice in free}
    allowed = sizes["flat"] - 1
    tight = survey(vectors, queries, rows, IndexRequirements(k=10, memory_bytes=allowed), 2_000)

    for choices in (free, tight):
        [chosen] = [choice for choice in choices if choice.chosen]
        meeting = [choice for choice in choices if choice.recall >= 0.95]
        assert chosen in meeting
        assert chosen.cost == min(choice.cost for choice in meeting)
    assert chosen.num_bytes <= allowed
    refused = {choice.kind for choice in tight if not choice.recall}
    assert {kind for kind, size in sizes.items() if size > allowed} <= refused
    assert "are allowed" in next(choice.why for choice in tight if choice.kind == "flat")


def test_what_finds_too_little_is_not_taken_however_little_work_it_is() -> None:
    lazy, dear, enough = (
        DesignTrial(kind=kind, form="", num_bytes=1, recall=recall, cost=cost, meets=recall >= 0.95)
        for kind, recall, cost in (("a", 0.90, 1.0), ("b", 0.99, 9.0), ("c", 0.96, 5.0))
    )

    chosen = [
        choice for choice in marked([lazy, dear, enough], IndexRequirements()) if choice.chosen
    ]
    least_bad = [choice for choice in marked([lazy], IndexRequirements()) if choice.chosen]

    assert [choice.kind for choice in chosen] == ["c"]
    assert [choice.kind for choice in least_bad] == ["a"]
    assert "nothing that fits finds enough" in least_bad[0].why


def test_memory_too_small_for_any_index_is_refused_with_the_smallest() -> None:
    with pytest.raises(IndexFault, match=r"too little for any index; the smallest, ivf-"):
        survey(
            clustered(500),
            clustered(5),
            np.arange(500),
            IndexRequirements(k=10, memory_bytes=1_000),
        )


def test_a_budget_is_kept_by_the_index_that_is_built(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(planning_module, "FLAT_BELOW", 1_000)
    vectors, queries = clustered(4_000), clustered(40, seed=1)
    budget = 4_000 * DIM * 2  # half of the vectors

    planned = build_index(vectors, queries, IndexRequirements(k=10, memory_bytes=budget))
    save_index(planned.built, tmp_path / "x.faiss")

    assert planned.recall >= 0.95
    assert sum(f.stat().st_size for f in tmp_path.rglob("x.faiss")) <= budget * 1.05


def test_one_seed_gives_one_choice_and_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning_module, "FLAT_BELOW", 1_000)
    vectors, queries = clustered(3_000), clustered(40, seed=1)

    first, second = (
        build_index(vectors, queries, IndexRequirements(k=10, seed=3)) for _ in range(2)
    )

    assert (first.kind, first.factory, first.effort) == (second.kind, second.factory, second.effort)
    assert [untimed(c) for c in first.choices] == [untimed(c) for c in second.choices]
    for one, other in zip(
        first.built.search(queries, 20), second.built.search(queries, 20), strict=True
    ):
        np.testing.assert_array_equal(one.rows, other.rows)
        np.testing.assert_array_equal(one.scores, other.scores)


@pytest.mark.parametrize("kind", ["hnsw", "hnsw-sq8", "ivf-pq", "svs-lvq8", "svs-f16"])
def test_an_index_is_built_the_same_twice_whatever_threads_there_are(kind: str) -> None:
    vectors, queries = clustered(3_000), clustered(40, seed=1)
    design = design_named(kind)
    if reason := design.why_not(*vectors.shape):
        pytest.skip(reason)

    first, second = (design.build(vectors, np.arange(3_000)) for _ in range(2))

    for one, other in each(zip(first.search(queries, 20), second.search(queries, 20), strict=True)):
        np.testing.assert_array_equal(one.rows, other.rows)


def test_product_codes_are_searched_with_a_filter_as_far_as_it_takes() -> None:
    vectors, queries = clustered(6_000), clustered(40, seed=1)
    built = build_index(vectors, queries, IndexRequirements(kind="ivf-pq", k=10)).built
    even = np.arange(6_000) % 2 == 0

    found = [built._looks(query[None], 10, even)(built.most_effort) for query in queries]

    assert built.shape.kind == "cells"
    truth = [Hits(2 * h.rows, h.scores) for h in true_hits(vectors[even], queries, 10)]
    pairs = zip(found, truth, strict=True)
    assert np.mean([len(np.intersect1d(one.rows, true.rows)) / 10 for one, true in pairs]) >= 0.95
    assert every(even[hits.rows].all() for hits in found)


def test_product_codes_are_searched_deeper_only_where_less_deep_finds_too_little() -> None:
    alike = clustered(6_000)
    random = np.random.default_rng(3)
    apart = np.repeat(random.normal(size=(300, DIM)), 20, axis=0)
    apart = unit(apart + 0.2 * random.normal(size=apart.shape))
    wanted = IndexRequirements(kind="ivf-pq", k=20, recall=0.9)

    built = [build_index(vectors, vectors[::150], wanted).built for vectors in (alike, apart)]

    assert [index.deeper for index in built] == [4.0, 2.5]


def test_product_codes_that_cannot_be_told_who_passes_are_fetched_deeper(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("index.vectors.libraries.faiss_index._skips_rows", lambda _: False)
    vectors, queries = clustered(6_000), clustered(40, seed=1)
    planned = build_index(vectors, queries, IndexRequirements(kind="ivf-pq", k=10))
    most = np.arange(6_000) % 50 > 0

    found = planned.built.search(queries, 10, most)

    plans = [hits.plan for hits in found if hits.plan is not None]
    assert (Way.OVERFETCH, planned.recall) in {(plan.way, plan.exactness) for plan in plans}
    assert every(most[hits.rows].all() for hits in found)


def test_texts_asked_of_pictures_get_an_effort_of_their_own_that_keeps_recall(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Texts lie in a cone beside the pictures, as those of a CLIP do, so graphs lose their way."""
    monkeypatch.setattr(planning_module, "FLAT_BELOW", 1_000)
    pictures = clustered(6_000)
    beside = np.random.default_rng(5).normal(size=DIM)
    texts = unit(clustered(80, seed=1) + 1.6 * beside / np.linalg.norm(beside))

    of_pictures = build_index(pictures, clustered(80, seed=2), IndexRequirements(k=20))
    of_texts = build_index(pictures, texts, IndexRequirements(k=20))

    held_out = unit(clustered(80, seed=3) + 1.6 * beside / np.linalg.norm(beside))
    truth = true_hits(pictures, held_out, 20)
    assert recall_at_k(of_pictures.built, held_out, truth) < 0.93
    assert recall_at_k(of_texts.built, held_out, truth) >= 0.93


def test_where_svs_cannot_be_used_the_plan_says_why_and_takes_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "index.vectors.planning.designs.why_no_svs", lambda codes: f"not here in {codes}"
    )
    vectors, queries = clustered(1_000), clustered(20, seed=1)

    choices = survey(vectors, queries, np.arange(1_000), IndexRequirements(k=10))

    [chosen] = [choice for choice in choices if choice.chosen]
    assert not chosen.kind.startswith("svs")
    told = {choice.why for choice in choices if choice.kind.startswith("svs")}
    assert told == {f"not here in {codes}" for codes in ("float16", "LVQ8", "LVQ4x8")}


@pytest.mark.parametrize(
    ("told", "halves", "lvq"),
    [
        ("vendor_id : GenuineIntel\nflags : avx2 f16c avx512f\n", "", ""),
        ("vendor_id : GenuineIntel\nflags : avx2 f16c\n", "", "AVX-512"),
        ("vendor_id : AuthenticAMD\nflags : avx2 f16c avx512f\n", "", "Intel"),
        ("vendor_id : AuthenticAMD\nflags : avx f16c\n", "AVX2", "Intel"),
    ],
)
def test_halves_are_for_every_processor_with_avx2_and_lvq_for_intels_with_avx_512(
    told: str, halves: str, lvq: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cpuinfo").write_text(told)
    monkeypatch.setattr(index.vectors.libraries.svs_index, "CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(index.vectors.libraries.svs_index, "find_spec", lambda name: name)
    monkeypatch.setattr(index.vectors.libraries.svs_index.platform, "machine", lambda: "x86_64")

    for codes, why in [("float16", halves), ("LVQ8", lvq)]:
        reason = why_no_svs.__wrapped__(codes)
        assert why in reason
        assert bool(why) == bool(reason)


@needs_svs
def test_a_release_of_svs_is_searched_exactly_where_svs_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    vectors = clustered(300)
    save_index(SvsIndex.build(vectors, rows=np.arange(0, 300, 3)), tmp_path / "x.faiss")
    monkeypatch.setattr("index.vectors.files.why_no_svs", lambda _: "scalable-vs is not installed")

    opened = open_index(tmp_path / "x.faiss", vectors)

    truth = true_hits(vectors, vectors[:20], 10, np.arange(0, 300, 3))
    assert isinstance(opened, FaissIndex)
    assert recall_at_k(opened, vectors[:20], truth) == 1.0


@needs_svs
@pytest.mark.parametrize("told", ["", "[object]", "object = 3", "not a table", "\x00"])
def test_a_folder_that_svs_did_not_write_is_damaged(told: str, tmp_path: Path) -> None:
    vectors = clustered(300)
    save_index(SvsIndex.build(vectors), tmp_path / "x.faiss")
    (tmp_path / "x.svs/data/svs_config.toml").write_text(told)

    with pytest.raises(DamagedIndex, match=r"x\.svs is not an index of SVS"):
        open_index(tmp_path / "x.faiss", vectors)


@needs_svs
def test_a_walk_that_meets_too_few_is_walked_again_and_its_padding_is_no_answer() -> None:
    vectors = clustered(2_000)
    built = SvsIndex.build(vectors)
    built.tuned_for, built.effort = 400, 1

    for hits in each(built.search(clustered(20, seed=1), 400)):
        assert len(set(hits.rows)) == len(hits.rows)
        assert len(hits.rows) == 400


def test_padding_of_svs_is_told_from_the_vector_at_place_0() -> None:
    places = np.array([[5, 0, 0, 0], [7, 0, 0, 0], [0, 3, 2, 0]])
    scores = np.array([[0.9, 0.5, 0, 0], [0.9, 0, 0, 0], [0.9, 0.8, 0.1, 0]], "float32")

    found, kept = marked_padding(places, scores, np.array([0.5, 0.6, 0.9], "float32"))

    assert found.tolist() == [[5, 0, -1, -1], [7, -1, -1, -1], [0, 3, 2, -1]]
    assert np.isneginf(kept).tolist() == (found < 0).tolist()


@needs_svs
def test_one_query_takes_the_short_way_and_is_answered_as_among_many() -> None:
    vectors, queries = clustered(2_000), clustered(20, seed=1)
    vectors[50:60] = vectors[40]  # ties
    queries[0] = vectors[40]
    built = SvsIndex.build(vectors)
    many = built.search(queries, 20)

    for _ in range(2):
        built.effort = built.effort  # the same again
        alone = [built.search(query[None], 20)[0] for query in queries]
        assert built._ready == 20
        for one, other in zip(alone, many, strict=True):
            np.testing.assert_array_equal(one.rows, other.rows)
            np.testing.assert_array_equal(one.scores, other.scores)


@needs_svs
def test_more_answers_than_it_was_tuned_for_are_found_as_well() -> None:
    vectors, queries = clustered(4_000), clustered(40, seed=1)
    built = SvsIndex.build(vectors)

    measured_curve(built, queries, true_hits(vectors, queries, 20), 0.95)

    assert recall_at_k(built, queries, true_hits(vectors, queries, 200)) >= 0.93


WRAPPED = {
    "transformed graph": "PCA16,HNSW16,Flat",
    "refined graph": "HNSW16,SQ8,RFlat",
    "transformed cells": "PCA16,IVF16,Flat",
    "refined cells": "IVF16,SQ8,RFlat",
    "both": "OPQ8_16,IVF16,PQ8,RFlat",
}


@pytest.mark.parametrize("factory", WRAPPED.values(), ids=WRAPPED)
def test_the_index_inside_of_another_is_tuned_and_filtered(factory: str) -> None:
    vectors, queries = clustered(3_000), clustered(20, seed=1)
    built = FaissIndex.build(vectors, factory)
    allowed = np.random.default_rng(2).random(3_000) < 0.3

    built.effort = 7
    answers = built.search(queries, 10, allowed)

    assert built.effort == 7
    assert built.most_effort in (16, 3_000)
    assert every(allowed[hits.rows].all() and len(hits.rows) == 10 for hits in answers)


def test_recall_counts_equal_vectors_as_right() -> None:
    vectors = np.tile(np.eye(1, 4, dtype="float32"), (10, 1))
    index = FaissIndex.build(vectors)

    truth = [Hits(np.array([8, 9]), np.ones(2, "float32"))]

    assert recall_at_k(index, vectors[:1], truth) == 1.0


def test_recall_is_the_share_that_was_found() -> None:
    class Half:
        dim, size = 4, 4

        def search(
            self, queries: np.ndarray, k: int, allowed: np.ndarray | None = None
        ) -> list[Hits]:
            return [Hits(np.array([0]), np.ones(1, "float32")) for _ in queries]

    truth = [Hits(np.array([0, 1]), np.ones(2, "float32"))]

    assert recall_at_k(Half(), np.eye(1, 4, dtype="float32"), truth) == 0.5


def test_a_trained_index_is_filled_with_other_vectors_and_keeps_its_cells(tmp_path: Path) -> None:
    old = clustered(3_000)
    build_index(old, old[:50], IndexRequirements(factory="IVF128,Flat")).built.save(
        tmp_path / "a.faiss"
    )
    new = np.concatenate([old[20:], old[:7] * -1])

    before = PreviousIndex("factory", tmp_path / "a.faiss")
    planned = build_index(
        new, new[:50], IndexRequirements(factory="IVF128,Flat", recall=0.99), before=before
    )

    assert planned.built.size == 2_987
    assert planned.recall >= 0.99
    assert [hits.rows[0] for hits in planned.built.search(new[-3:], 1)] == [2_984, 2_985, 2_986]
    fresh = FaissIndex.build(new, "IVF128,Flat")
    kept = FaissIndex.refilled(tmp_path / "a.faiss", new, "IVF128,Flat", np.arange(2_987))
    assert kept is not None
    fresh.effort = kept.effort = 4
    found, other = ([list(h.rows) for h in i.search(new[:50], 50)] for i in (kept, fresh))
    assert found != other  # its cells are not those that these vectors would be sorted into


@pytest.mark.parametrize("factory", ["IVF64,Flat", "IVF128,PQ4", "Flat"])
def test_nothing_is_kept_of_an_index_of_another_kind(tmp_path: Path, factory: str) -> None:
    vectors = clustered(3_000)
    FaissIndex.build(vectors, "IVF128,Flat").save(tmp_path / "a.faiss")
    FaissIndex.build(vectors, "Flat").save(tmp_path / "flat.faiss")
    rows = np.arange(3_000)

    assert FaissIndex.refilled(tmp_path / "a.faiss", vectors, factory, rows) is None
    assert FaissIndex.refilled(tmp_path / "flat.faiss", vectors, "Flat", rows) is None
    assert FaissIndex.refilled(tmp_path / "none.faiss", vectors, "Flat", rows) is None


def test_a_design_that_was_chosen_is_taken_again_without_trying_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning_module, "FLAT_BELOW", 1_000)
    vectors = clustered(3_000)
    before = PreviousIndex("hnsw", tmp_path / "none.faiss")
    monkeypatch.setattr(planning_module, "survey", lambda *_: pytest.fail("others were tried"))

    planned = build_index(vectors, vectors[:50], before=before)

    assert (planned.kind, planned.choices) == ("hnsw", ())


def test_a_design_that_finds_too_little_by_now_makes_way_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning_module, "FLAT_BELOW", 1_000)
    vectors = clustered(3_000)
    found = iter([0.5, 1.0])
    monkeypatch.setattr(planning_module, "recall_at_k", lambda *_: next(found))
    flat = DesignTrial(kind="flat", form="Flat", num_bytes=1, recall=1.0, meets=True, chosen=True)
    monkeypatch.setattr(planning_module, "survey", lambda *_: (flat,))

    planned = build_index(
        vectors, vectors[:50], before=PreviousIndex("hnsw", tmp_path / "none.faiss")
    )

    assert (planned.kind, planned.choices) == ("flat", (flat,))


@pytest.mark.parametrize(
    ("memory", "why"), [(0, "it is not installed"), (100_000, "")], ids=["library", "memory"]
)
def test_a_design_that_cannot_be_built_any_more_makes_way_for_others(
    memory: int, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning_module, "FLAT_BELOW", 1_000)
    monkeypatch.setattr("index.vectors.planning.designs.why_no_svs", lambda _: why)
    vectors = clustered(3_000)
    flat = DesignTrial(kind="flat", form="Flat", num_bytes=1, recall=1.0, meets=True, chosen=True)
    monkeypatch.setattr(planning_module, "survey", lambda *_: (flat,))
    before = PreviousIndex("svs-f16", tmp_path / "none.faiss")

    planned = build_index(
        vectors, vectors[:20], IndexRequirements(memory_bytes=memory), before=before
    )

    assert planned.kind == "flat"


def test_what_finds_most_is_kept_where_nothing_finds_enough_and_the_table_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(planning_module, "FLAT_BELOW", 1_000)
    tried = {"form": "", "num_bytes": 1, "recall": 0.9}
    first = DesignTrial(kind="ivf-rabitq", chosen=True, cost=1.0, why="chosen", **tried)
    others = tuple(
        DesignTrial(kind=kind, cost=cost, **tried) for kind, cost in [("ivf", 2.0), ("hnsw", 3.0)]
    )
    monkeypatch.setattr(planning_module, "survey", lambda *_: (first, *others))
    found = iter([0.5, 0.7, 0.6])
    monkeypatch.setattr(planning_module, "recall_at_k", lambda *_: next(found))
    vectors = clustered(2_000)

    planned = build_index(vectors, vectors[:20])

    assert (planned.kind, planned.recall) == ("ivf", 0.7)
    assert [one.kind for one in planned.choices if one.chosen] == ["ivf"]
    assert [one.why for one in planned.choices if not one.chosen] == [
        "finds 0.500 at most in all rows",
        "finds 0.600 at most in all rows",
    ]


def test_a_tuned_index_seldom_misses_on_other_queries_beyond_chance() -> None:
    vectors, missed = clustered(6_000), []
    for seed in range(1, 13):
        tuned_by, asked = clustered(200, seed), clustered(100, 100 + seed)
        built = build_index(vectors, tuned_by, IndexRequirements(factory="IVF64,Flat", k=50)).built
        shares = recall_of_each(built, asked, true_hits(vectors, asked, 50))
        missed.append(shares.mean() + 1.96 * shares.std() / len(shares) ** 0.5 < 0.95)

    assert sum(missed) <= 1


def test_a_design_that_is_asked_for_comes_before_the_one_of_before(tmp_path: Path) -> None:
    vectors = clustered(3_000)
    before = PreviousIndex("hnsw", tmp_path / "none.faiss")

    assert (
        build_index(vectors, vectors[:50], IndexRequirements(kind="ivf-sq8"), before=before).kind
        == "ivf-sq8"
    )


@pytest.mark.parametrize("kind", ["ivf", "ivf-sq8", "ivf-pq", "ivf-rabitq"])
def test_every_inverted_file_keeps_its_cells_in_the_next_build(tmp_path: Path, kind: str) -> None:
    old = clustered(3_000)
    first = build_index(old, old[:50], IndexRequirements(kind=kind))
    save_index(first.built, tmp_path / "a.faiss")
    again = FaissIndex.refilled(
        tmp_path / "a.faiss", old, first.factory, np.arange(3_000), first.built.deeper
    )

    assert again is not None
    again.effort = first.built.effort
    pairs = zip(again.search(old[:50], 10), first.built.search(old[:50], 10), strict=True)
    assert every(np.array_equal(one.rows, other.rows) for one, other in pairs)


@pytest.mark.parametrize("kind", [design.name for design in DESIGNS])
def test_a_design_that_has_nothing_to_be_made_of_gives_way_to_a_flat_one(kind: str) -> None:
    none = np.empty((0, 8), "float32")

    planned = build_index(none, clustered(3)[:, :8], IndexRequirements(kind=kind))

    assert (planned.kind, planned.built.size) == ("flat", 0)


def untimed(choice: DesignTrial) -> tuple:
    return (choice.kind, choice.form, choice.effort, choice.recall, choice.cost, choice.chosen)


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("float32")


def clustered(count: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    chosen = CENTRES[random.integers(0, len(CENTRES), count)]
    return unit(chosen + 0.6 * random.normal(size=(count, DIM)))
