"""The table of all benchmarks: what each needs, and about how long it takes."""

import ast
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent


class Benchmark(NamedTuple):
    """One benchmark. `data` names folders below DATA, from their publishers; minutes are rough."""

    name: str
    minutes: int  # on two cores with nothing else running
    data: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()  # of this package
    beside: tuple[str, ...] = ()  # packages to compare with; what is missing is left out
    needs: str = ""  # anything else
    suite: bool = False  # whether `make bench` runs it

    @property
    def measures(self) -> str:
        """The first line of the module's docstring, which is not imported for it."""
        path = FOLDER.parent / f"{self.module.replace('.', '/')}.py"
        return (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n\n")[0]

    @property
    def module(self) -> str:
        """The full name of the module whose `main` is called."""
        found = [*FOLDER.glob(f"*/{self.name}.py"), *FOLDER.glob(f"{self.name}/__main__.py")]
        [path] = found  # in whichever folder, the name stands once
        return ".".join(path.relative_to(FOLDER.parent).with_suffix("").parts)

    @property
    def requirements(self) -> str:
        """What must be there, in words."""
        data = f"--data with {', '.join(self.data)}" if self.data else ""
        extras = f"extra {', '.join(self.extras)}" if self.extras else ""
        beside = f"compares with {', '.join(self.beside)}" if self.beside else ""
        return "; ".join(part for part in (data, extras, beside, self.needs) if part) or "nothing"


TITLES = ("home_depot", "fashion", "esci_us")
JUDGED = ("home_depot", "crowdflower", "esci_us")

BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark("ad_kills", 30),
        Benchmark("auction", 9),
        Benchmark("behaviour", 15, data=("amazon_beauty", "online_retail"), suite=True),
        Benchmark("gpu_search", 3, needs="a GPU"),
        Benchmark("blending", 3, data=("esci_us",)),
        Benchmark("creatives", 3),
        Benchmark("damaged_releases", 10),
        Benchmark("encoding", 5, data=TITLES),
        Benchmark("esci", 2, data=("esci_us",), suite=True),
        Benchmark("fashion_clip", 15, data=("fashion",), suite=True),
        Benchmark("fashion_fusion", 12, data=("fashion",)),
        Benchmark("fixed_costs", 5),
        Benchmark("filtered_search", 10, data=TITLES, beside=("hnswlib",)),
        Benchmark("gift_shop_scene", 15, data=("online_retail",)),
        Benchmark("impressions", 10, data=("open_bandit",), beside=("lightgbm",), suite=True),
        Benchmark(
            "index",
            30,
            data=(*TITLES, "crowdflower", "online_retail"),
            extras=("demo", "svs"),
            beside=("hnswlib", "usearch", "voyager", "kannolo", "rabitqlib"),
        ),
        Benchmark("known_items", 1),
        Benchmark("live_changes", 5, needs="--releases of `make demo`"),
        Benchmark("live_fold_kills", 20),
        Benchmark("live_kills", 10),
        Benchmark("live_model", 20),
        Benchmark("mutants", 50),
        Benchmark("mixed_load", 60, needs="--releases and --shop of `make demo`"),
        Benchmark("misspelt", 5, data=("esci_us",)),
        Benchmark("plain_searches", 4, suite=True),
        Benchmark("rank_batching", 2),
        Benchmark("rank_latency", 5, beside=("lightgbm", "xgboost"), suite=True),
        Benchmark("gpu_ranking", 1, needs="a GPU"),
        Benchmark("rebuild", 15),
        Benchmark(
            "serving",
            5,
            beside=("sentence-transformers", "hnswlib", "lightgbm", "fastapi"),
            needs="--releases and --shop of `make demo`; --python with those packages",
        ),
        Benchmark("sharded_build", 8, needs="12 GB of disk"),
        Benchmark(
            "supermarket",
            5,
            extras=("demo",),
            beside=("lightgbm",),
            needs="--releases of `make demo`, to measure a release",
            suite=True,
        ),
        Benchmark(
            "single_queries",
            15,
            data=(*TITLES, "crowdflower", "online_retail"),
            extras=("demo", "svs"),
            beside=("hnswlib", "usearch", "voyager", "kannolo", "rabitqlib"),
        ),
        Benchmark("stage_chaos", 5, needs="--releases of `make demo`"),
        Benchmark("supermarket_ranking", 45, extras=("demo",), beside=("lightgbm",), suite=True),
        Benchmark("supermarket_recall", 3, extras=("demo",), suite=True),
        Benchmark("supermarket_towers", 25, extras=("demo",)),
        Benchmark("text_ranking", 30, data=JUDGED, beside=("lightgbm",), suite=True),
        Benchmark("relevance", 6, data=JUDGED, suite=True),
        Benchmark("text_relevance", 15, data=JUDGED, suite=True),
    )
}


def suite() -> list[Benchmark]:
    """Return the benchmarks that `make bench` runs."""
    return [benchmark for benchmark in BENCHMARKS.values() if benchmark.suite]
