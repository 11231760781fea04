import numpy as np

from pipelines.training.held_out_searches import ONE_IN, judging_products, never_learnt


def test_whether_a_product_judges_hangs_on_its_id_alone() -> None:
    names = [f"p{number}" for number in range(1_000)]

    judging = judging_products(names)

    assert judging_products(names[::-1]).tolist() == judging[::-1].tolist()
    assert 0.7 / ONE_IN < np.mean(judging) < 1.3 / ONE_IN


def test_a_search_in_words_that_were_learnt_judges_nothing() -> None:
    new = never_learnt(["Oat  Milk", "milk oat", "rye"], {"oat milk"})

    assert new.tolist() == [False, True, True]


def test_a_shop_without_products_has_none_that_judge() -> None:
    assert judging_products([]).tolist() == []
