"""Calibrations keep the order, know what they do not know, and are read only as written."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

from ranking.calibration.calibration import (
    CALIBRATIONS,
    FILE,
    LARGEST_LINE,
    LARGEST_LOGIT,
    MAX_BYTES,
    MOST_KNOTS,
    SIGMOID,
    Isotonic,
    Part,
    Platt,
    UnknownCalibration,
    choose,
    fit,
    head_name,
    read,
    save,
)
from ranking.calibration.reliability import CalibrationError, expected_calibration_error, measure

pytestmark = pytest.mark.foreign

every_calibration = pytest.mark.parametrize("name", CALIBRATIONS)
any_logit = st.floats(-(2.0**100), 2.0**100, width=32)
some_logits = arrays.arrays(np.float32, st.integers(1, 60), elements=any_logit)


@st.composite
def labelled(draw: st.DrawFn) -> Part:
    logits = draw(some_logits)
    labels = draw(arrays.arrays(np.bool_, len(logits)))
    return Part(logits, labels)


def sample(
    rng: np.random.Generator, count: int, slope: float = 1.0, intercept: float = 0.0
) -> Part:
    """Purchases about as seldom as they are, with a known chance behind each logit."""
    logits = rng.normal(-5, 1.2, count).astype(np.float32)
    return Part(logits, rng.random(count) < expit(slope * logits + intercept))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@every_calibration
@given(part=labelled(), asked=some_logits)
def test_a_higher_logit_never_gets_a_lower_probability(
    name: str, part: Part, asked: np.ndarray
) -> None:
    calibration = fit(name, *part)
    near = np.concatenate([asked, part.logits])
    ascending = np.sort(np.concatenate([near, np.nextafter(near, np.float32(-np.inf))]))

    probabilities = calibration.probabilities(ascending)

    assert (np.diff(probabilities) >= 0).all()
    assert ((probabilities >= 0) & (probabilities <= 1)).all()


@given(
    logits=arrays.arrays(np.float64, st.integers(1, 40), elements=any_logit, unique=True),
    data=st.data(),
    asked=some_logits,
)
def test_knots_from_a_file_keep_the_order_too(
    logits: np.ndarray, data: st.DataObject, asked: np.ndarray
) -> None:
    shares = data.draw(arrays.arrays(np.float64, len(logits), elements=st.floats(0, 1)))
    calibration = Isotonic(tuple(np.sort(logits).tolist()), tuple(np.sort(shares).tolist()))
    knots = logits.astype(np.float32)
    ascending = np.sort(np.concatenate([asked, knots, np.nextafter(knots, np.float32(-np.inf))]))

    probabilities = calibration.probabilities(ascending)

    assert (np.diff(probabilities) >= 0).all()
    assert shares.min() <= probabilities.min()
    assert probabilities.max() <= shares.max()


@every_calibration
def test_reordering_logits_reorders_probabilities(name: str, rng: np.random.Generator) -> None:
    part = sample(rng, 2_000)
    calibration, order = fit(name, *part), rng.permutation(2_000)

    straight = calibration.probabilities(part.logits)

    np.testing.assert_array_equal(calibration.probabilities(part.logits[order]), straight[order])


@every_calibration
def test_a_fit_predicts_as_many_as_were_seen(name: str, rng: np.random.Generator) -> None:
    part = sample(rng, 50_000, slope=0.5, intercept=-2)

    predicted = fit(name, *part).probabilities(part.logits)

    assert predicted.mean() == pytest.approx(part.labels.mean(), rel=0.02)
    chances = expit(0.5 * part.logits.astype(np.float64) - 2)  # miss the labels only by chance
    by_chance = expected_calibration_error(chances, part.labels)
    assert expected_calibration_error(predicted, part.labels) < by_chance


def test_platt_finds_the_line_behind_the_labels(rng: np.random.Generator) -> None:
    found = fit("platt", *sample(rng, 400_000, slope=0.7, intercept=-1.5))

    assert isinstance(found, Platt)
    assert found.slope == pytest.approx(0.7, abs=0.03)
    assert found.intercept == pytest.approx(-1.5, abs=0.1)


def test_platt_is_where_its_cross_entropy_is_flat(rng: np.random.Generator) -> None:
    logits, labels = sample(rng, 5_000)
    positives, negatives = labels.sum(), (~labels).sum()
    targets = np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    gaps = fit("platt", logits, labels).probabilities(logits) - targets

    assert gaps.mean() == pytest.approx(0, abs=1e-7)
    assert (gaps * logits).mean() == pytest.approx(0, abs=1e-6)


def test_platt_answers_where_a_line_separates_the_labels() -> None:
    logits = np.array([-2, -1, 1, 2], np.float32)

    found = fit("platt", logits, logits > 0).probabilities(logits)

    np.testing.assert_allclose(found[[0, -1]], [0.25, 0.75], atol=0.1)  # 1 / (2 + 2) and 3 / 4


@every_calibration
def test_logits_that_point_the_wrong_way_give_a_constant(
    name: str, rng: np.random.Generator
) -> None:
    logits, labels = sample(rng, 5_000)

    found = fit(name, -logits, labels).probabilities(-logits)

    most = np.quantile(found, [0.05, 0.95])  # isotonic may follow the ends, where labels are few
    assert np.ptp(most) < 0.005
    assert found.mean() == pytest.approx(labels.mean(), rel=0.05)


@every_calibration
@pytest.mark.parametrize("happened", [True, False])
def test_labels_that_are_all_the_same_give_a_constant_that_is_not_sure(
    name: str, *, happened: bool
) -> None:
    logits = np.array([-3, 0, 2, 2], np.float32)

    found = fit(name, logits, np.full(4, happened)).probabilities(logits)

    np.testing.assert_allclose(found, 5 / 6 if happened else 1 / 6)


@every_calibration
def test_logits_that_are_all_the_same_give_the_share(name: str) -> None:
    logits, labels = np.full(1_000, 3, np.float32), np.arange(1_000) < 100

    found = fit(name, logits, labels).probabilities(np.array([-9, 3, 9], np.float32))

    np.testing.assert_allclose(found, 0.1, rtol=0.02)


@given(part=labelled())
def test_isotonic_is_what_another_implementation_finds(part: Part) -> None:
    least = 1 / (len(part.labels) + 2)
    other = IsotonicRegression(y_min=least, y_max=1 - least, out_of_bounds="clip")
    other.fit(part.logits.astype(np.float64), part.labels)

    found = fit("isotonic", *part)

    at = np.unique(part.logits)
    if len(at) == 1 or np.diff(at.astype(np.float64)).min() > 1e-9:  # nearer, the other joins them
        np.testing.assert_allclose(found.probabilities(at), other.predict(at), atol=1e-9)


def test_isotonic_keeps_far_fewer_knots_than_a_file_may_hold(rng: np.random.Generator) -> None:
    logits = rng.uniform(-6, 6, 300_000).astype(np.float32)

    found = fit("isotonic", logits, rng.random(300_000) < expit(logits))

    assert isinstance(found, Isotonic)
    assert 100 < len(found.logits) < MOST_KNOTS / 10


def test_the_calibration_that_does_better_later_is_chosen(rng: np.random.Generator) -> None:
    straight = Part(*sample(rng, 300)), Part(*sample(rng, 50_000))
    bent = [part._replace(logits=np.sqrt(part.logits + 20)) for part in map(flat, [rng, rng])]

    few, many = choose(*straight), choose(*bent)

    assert (few.name, many.name) == ("platt", "isotonic")
    for choice in (few, many):
        assert choice.figures.keys() == CALIBRATIONS.keys()
        assert choice.figures[choice.name].log_loss == min(
            figures.log_loss for figures in choice.figures.values()
        )
    later = straight[1]
    assert few.calibration == fit("platt", *straight[0])
    assert few.figures["platt"] == measure(
        few.calibration.probabilities(later.logits), later.labels
    )


def flat(rng: np.random.Generator) -> Part:
    """Labels whose chance is a step of the logit, which no sigmoid is."""
    logits = rng.normal(-5, 1.2, 50_000).astype(np.float32)
    return Part(logits, rng.random(50_000) < np.where(logits > -6, 0.05, 0.001))


def test_what_was_saved_is_read_again_to_the_last_digit(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    part = sample(rng, 5_000)
    heads = {"purchase": fit("isotonic", *part), "click": fit("platt", *part)}

    save(heads, tmp_path / "ranker")

    assert read(tmp_path / "ranker") == heads


HOSTILE = {
    "no JSON": (b"heads", "malformed"),
    "no text": (b'{"heads": {"\xff": 1}}', "utf-8"),
    "another table": (b'{"tails": {}}', "unknown field `tails`"),
    "another way": (b'{"heads": {"a": {"type": "beta"}}}', "beta"),
    "a line that falls": (
        b'{"heads": {"a": {"type": "platt", "slope": -1, "intercept": 0}}}',
        "slope not below 0",
    ),
    "a line without end": (
        b'{"heads": {"a": {"type": "platt", "slope": 1e999, "intercept": 0}}}',
        "out of range",
    ),
    "a steep line": (
        b'{"heads": {"a": {"type": "platt", "slope": 1e300, "intercept": 0}}}',
        "should be finite",
    ),
    "a number that is none": (
        b'{"heads": {"a": {"type": "platt", "slope": NaN, "intercept": 0}}}',
        "malformed",
    ),
    "a field too many": (
        b'{"heads": {"a": {"type": "platt", "slope": 1, "intercept": 0, "code": "x"}}}',
        "unknown field `code`",
    ),
}


def knots(logits: list[float], shares: list[float]) -> bytes:
    head = {"type": "isotonic", "logits": logits, "shares": shares}
    return msgspec.json.encode({"heads": {"purchase": head}})


HOSTILE |= {
    "no knots": (knots([], []), "0 logits and 0 shares"),
    "unequal columns": (knots([0, 1], [0]), "2 logits and 1 shares"),
    "too many knots": (knots(list(range(10_001)), [0.5] * 10_001), "length <= 10000"),
    "logits that fall": (knots([1, 0], [0, 1]), "each above the last"),
    "a logit twice": (knots([1, 1], [0, 1]), "each above the last"),
    "a huge logit": (knots([0, 1e39], [0, 1]), "should be finite"),
    "shares that fall": (knots([0, 1], [0.2, 0.1]), "none below the last"),
    "a share above 1": (knots([0, 1], [0, 1.1]), r"should lie in \[0, 1\]"),
    "a share below 0": (knots([0, 1], [-0.1, 1]), r"should lie in \[0, 1\]"),
    "a word": (knots([0, "1"], [0, 1]), "Expected `float`"),
    "too many heads": (
        msgspec.json.encode({"heads": {str(i): msgspec.to_builtins(SIGMOID) for i in range(9)}}),
        "length <= 8",
    ),
    "a large file": (b" " * MAX_BYTES + b"{}", "more than 4,000,000 bytes"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_file_that_is_no_calibration_is_refused_by_its_name(case: str, tmp_path: Path) -> None:
    content, said = HOSTILE[case]
    (tmp_path / FILE).write_bytes(content)

    with pytest.raises(UnknownCalibration, match=rf"calibration\.json.*{said}.*build again"):
        read(tmp_path)


def test_as_many_heads_and_knots_as_allowed_are_read(tmp_path: Path) -> None:
    logits = np.linspace(-1, 1, MOST_KNOTS).tolist()
    most = Isotonic(tuple(logits), (0.5,) * MOST_KNOTS)
    heads = {str(i): SIGMOID for i in range(7)} | {"most": most}

    save(heads, tmp_path)

    assert read(tmp_path) == heads


def test_a_file_may_be_as_large_as_the_bound_says(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b'{"heads": {}}'.ljust(MAX_BYTES))

    assert read(tmp_path) == {}


def test_calibrations_are_saved_where_there_is_no_folder_yet_and_over_earlier_ones(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "a/b"
    save({"purchase": SIGMOID}, folder)
    save({"click": SIGMOID}, folder)

    assert read(folder) == {"click": SIGMOID}


def test_a_line_may_be_as_steep_and_as_far_away_as_the_bound_says() -> None:
    for line in (Platt(LARGEST_LINE, 0.0), Platt(0.0, LARGEST_LINE), Platt(0.0, -LARGEST_LINE)):
        assert len(line.probabilities(SOME)) == 2
    for slope, intercept in ((-1e-9, 0.0), (1.1e100, 0.0), (1.0, 1.1e100), (1.0, -1.1e100)):
        with pytest.raises(ValueError, match="should be finite"):
            Platt(slope, intercept)


def test_a_knot_may_be_the_largest_logit() -> None:
    ends = Isotonic((-LARGEST_LOGIT, LARGEST_LOGIT), (0.0, 1.0))

    assert ends.probabilities(np.zeros(1, np.float32)).tolist() == [0.5]


def test_between_knots_a_share_lies_on_the_line() -> None:
    steps = Isotonic((0.0, 2.0, 3.0, 7.0), (0.2, 0.6, 0.7, 0.9))

    found = steps.probabilities(np.array([-9, 0, 0.5, 2, 2.5, 4, 7, 9], np.float32))

    assert found.tolist() == pytest.approx([0.2, 0.2, 0.3, 0.6, 0.65, 0.75, 0.9, 0.9])


SOME, TRUE = np.array([0, 1], np.float32), np.array([True, False])
NOTHING, NO_LABELS = np.zeros(0, np.float32), np.zeros(0, bool)


@every_calibration
def test_nothing_is_fitted_to_what_says_nothing(name: str) -> None:
    with pytest.raises(CalibrationError, match="no labels"):
        fit(name, NOTHING, NO_LABELS)
    with pytest.raises(CalibrationError, match="1 of 2 logits are not finite"):
        fit(name, np.array([0, np.inf], np.float32), TRUE)
    with pytest.raises(CalibrationError, match="2 of 2 logits are not finite"):
        fit(name, SOME, TRUE).probabilities(np.array([np.nan, -np.inf], np.float32))


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(CalibrationError, match="'beta'; choose one of isotonic, platt"):
        fit("beta", SOME, TRUE)


def test_no_logits_get_no_probabilities() -> None:
    for calibration in (SIGMOID, Isotonic((0.0,), (0.5,))):
        assert calibration.probabilities(NOTHING).tolist() == []


def test_the_sigmoid_undoes_the_logit() -> None:
    chances = np.array([0.001, 0.5, 0.9])

    found = SIGMOID.probabilities(logit(chances).astype(np.float32))

    np.testing.assert_allclose(found, chances, rtol=1e-6)


def test_recommendations_have_the_plain_name_of_an_outcome_and_searches_one_of_their_own() -> None:
    assert head_name("recommendation", "click") == "click"
    assert head_name("search", "click") == "search/click"
