"""Verbs that ask a release."""

from pathlib import Path
from typing import Any

import click

from pipelines.cli.options import query_of, releases_option


def marked(verb: Any) -> Any:
    """Add --like and --dislike to a verb."""
    like = "A product that the answer should be like; may be repeated."
    dislike = "A product that it should be unlike; may be repeated."
    verb = click.option("disliked", "--dislike", multiple=True, metavar="ID", help=dislike)(verb)
    return click.option("liked", "--like", multiple=True, metavar="ID", help=like)(verb)


def listed(verb: Any) -> Any:
    """Add what counts, sorts, collapses and turns pages to a verb."""
    facet = "Count the values of a field among all that matches; may be repeated."
    sort = "Sort by a field, such as price or price:desc; may be repeated."
    collapse = "Show each value of a field once, such as item_group_id."
    verb = click.option("--cursor", default="", help="The next page; * begins a list.")(verb)
    verb = click.option("--collapse", metavar="FIELD", help=collapse)(verb)
    verb = click.option("sorts", "--sort", multiple=True, metavar="FIELD", help=sort)(verb)
    return click.option("facets", "--facet", multiple=True, metavar="FIELD", help=facet)(verb)


@click.command()
@click.argument("text", default="")
@releases_option
@marked
@listed
@click.option("--image", type=click.Path(path_type=Path), help="Search by a picture.")
@click.option("--user", help="A shopper that the release knows.")
@click.option("--at", metavar="TIME", help="The moment of the request, by default now.")
@click.option("--filter", "filter_", default="", help='Such as: brand: ANY("A") AND price < 5')
@click.option("-k", default=10, show_default=True, help="How many products.")
@click.option("--explain", is_flag=True, help="Tell channels and features.")
def search(text: str, releases: Path, image: Path | None, **asked: Any) -> None:
    """Search one release by words or a picture."""
    from pipelines.cli.answers import answer_table

    if not text.strip() and image is None:
        raise click.UsageError("give words to search for, or --image")
    click.echo(answer_table(releases, query_of(text, image, **asked)))


@click.command()
@releases_option
@marked
@listed
@click.option("--user", help="A shopper that the release knows.")
@click.option("--at", metavar="TIME", help="The moment of the request, by default now.")
@click.option("--filter", "filter_", default="", help='Such as: brand: ANY("A") AND price < 5')
@click.option("-k", default=10, show_default=True, help="How many products.")
@click.option("--explain", is_flag=True, help="Tell channels and features.")
def recommend(releases: Path, **asked: Any) -> None:
    """Recommend products to a shopper."""
    from pipelines.cli.answers import answer_table

    click.echo(answer_table(releases, query_of("", None, **asked)))
