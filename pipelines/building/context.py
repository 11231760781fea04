"""What the steps of one build share."""

from copy import copy
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from index import Columns
from pipelines.config.sections import Config
from pipelines.encoding.encoders import Encoders
from pipelines.evaluation.pinned_queries import purchases_of
from pipelines.progress import Track
from pipelines.release.layout import BEHAVIOUR, PRODUCTS
from pipelines.shop.product_text import read_texts
from pipelines.shop.purchases.log import Log, read_purchases
from pipelines.shop.reader import Shop
from retrieval.behaviour.tables import Behaviour, until_of
from retrieval.encoders.query import QueryEncoder


@dataclass
class BuildContext:
    """Everything that the steps of one build share; what several of them read is read once."""

    shop: Shop
    folder: Path  # of the draft
    embeddings: Path
    encoders: Encoders
    config: Config
    until: datetime | None
    track: Track

    @cached_property
    def products(self) -> Columns:
        """The products of the draft."""
        return Columns.open(self.folder / PRODUCTS)

    @cached_property
    def texts(self) -> list[str]:
        """The text of each product that is encoded, in the order of the rows."""
        return read_texts(self.shop, self.config.encoders.text.fields)

    @cached_property
    def log(self) -> Log:
        """The purchases before `until`, read from the shop."""
        return read_purchases(self.shop, self.products, self.until)

    @cached_property
    def written_log(self) -> Log:
        """The same purchases as the draft's behaviour tables hold them: cheaper, without a kind."""
        behaviour = Behaviour.open(self.folder / BEHAVIOUR)
        return Log(behaviour.purchases.user_ids, purchases_of(behaviour), "")

    @cached_property
    def traits(self) -> dict[str, dict[str, str]]:
        """The declared traits of each shopper."""
        return {row["id"]: dict(row["traits"]) for row in self.shop.users().to_pylist()}

    @property
    def end(self) -> int:
        """The second that nothing in the draft has seen, as its behaviour tables have it."""
        return until_of(self.folder / BEHAVIOUR)

    @property
    def query_encoder(self) -> QueryEncoder:
        """What brings texts into the spaces of this build."""
        weight = self.config.encoders.image_weight
        return QueryEncoder(self.encoders.text, self.encoders.image, weight, self.encoders.queries)

    def moved(self, folder: Path, config: Config) -> "BuildContext":
        """Return a context of the same products, log and texts that writes into another folder."""
        other = copy(self)
        other.folder, other.config = folder, config
        return other
