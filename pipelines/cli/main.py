"""The command line: one short verb a job."""

import sys

import click

from pipelines.absent_pandas import leave_pandas_out
from pipelines.cli.asking import recommend, search
from pipelines.cli.building import build
from pipelines.cli.compressing import compress, export
from pipelines.cli.evaluating import evaluate, exposure, judge, replay, run
from pipelines.cli.importing import import_
from pipelines.cli.indexes import index_
from pipelines.cli.people import people
from pipelines.cli.releases import releases
from pipelines.cli.serving import check, demo, serve
from pipelines.cli.training import train
from pipelines.cli.tuning import tune
from pipelines.errors import INSTALL, UserError, missing_for_building
from pipelines.release.verdict import UnfitDraft

UNFIT = 3  # exit code of a build that the gate kept dark
WITHOUT_PANDAS = ("search", "recommend", "run")  # verbs whose first answer is waited for
VERBS = (
    import_,
    train,
    build,
    tune,
    search,
    recommend,
    run,
    evaluate,
    judge,
    exposure,
    replay,
    export,
    compress,
    index_,
    releases,
    serve,
    people,
    check,
    demo,
)


def main() -> None:
    """Run a verb; a user's mistake is one line and exit code 2, never a traceback.

    A draft that the gate keeps dark is its table and exit code 3.
    """
    if sys.argv[1:2] and sys.argv[1] in WITHOUT_PANDAS:
        leave_pandas_out()
    try:
        vetrina.main(prog_name="vetrina", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as e:
        e.show()
        sys.exit(e.exit_code)
    except click.ClickException as e:
        _fail(f"{e.format_message().rstrip('.')}{_hint(e)}", e.exit_code)
    except click.Abort:
        sys.exit("stopped")
    except UnfitDraft as e:
        from pipelines.release.tables import verdict_table

        click.echo(verdict_table(e.verdict))
        _fail(str(e), UNFIT)
    except UserError as e:
        _fail(str(e))
    except ModuleNotFoundError as e:
        _fail(_missing(e))
    except ValueError as e:
        from index import IndexFault

        if not isinstance(e, IndexFault):
            raise
        _fail(str(e))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vetrina")
def vetrina() -> None:
    """Fill every window of a shop: search, recommendation and ads, from one engine."""


for verb in VERBS:
    vetrina.add_command(verb)


def _hint(error: click.ClickException) -> str:
    """Return where the right use is described, of an error that knows its verb."""
    context = getattr(error, "ctx", None)
    return f"; see `{context.command_path} --help`" if context else ""


def _missing(error: ModuleNotFoundError) -> str:
    """Return which extra has a library that is not installed; anything else is raised."""
    verb = sys.argv[1] if sys.argv[1:2] and sys.argv[1] in vetrina.commands else "this"
    if error.name == "faiss":
        return f"{verb} needs FAISS, which is not installed: {INSTALL}, or 'vetrina[serve]'"
    message = missing_for_building(verb, error)
    if not message:
        raise error
    return message


def _fail(message: str, code: int = 2) -> None:
    click.echo(f"vetrina: {message}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
