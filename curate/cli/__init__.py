"""The command line: each command parses, calls one function, prints.

Exit codes: 0 done and nothing lost; 1 the data or an operator failed; 2 the recipe, plan or arguments are wrong;
130 stopped by Ctrl-C (the same command continues).
"""

from __future__ import annotations

import atexit
import gc
import sys
from typing import Any

import click

from curate import __version__
from curate.cli import assets, deciding, formats, releasing, running, similar
from curate.cli.options import harmless
from curate.errors import CurateError, PlanError, RecipeError

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Commands(click.Group):
    """Turns curate's errors into one message and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (RecipeError, PlanError) as error:
            _fail(error, 2)
        except CurateError as error:
            _fail(error, 1)
        except KeyboardInterrupt:
            click.echo("stopped; the same command continues where this one left off", err=True)
            ctx.exit(130)


def _fail(error: CurateError, code: int) -> None:
    click.echo(harmless(f"error: {error}"), err=True)
    sys.exit(code)


@click.group(cls=Commands, context_settings=SETTINGS)
@click.version_option(__version__, prog_name="curate")
def main() -> None:
    """Turn raw, sharded text into training sets you can explain.

    \b
    Example:
      curate run quickstart

    Exit codes: 0 done, nothing lost; 1 the data or an operator failed; 2 the recipe, plan or arguments are wrong;
    130 stopped by Ctrl-C (the same command continues).
    """
    gc.set_threshold(50_000)  # imports make many objects and no garbage: to look for it takes a tenth of a short run
    atexit.register(gc.freeze)  # and as much at its end


for command in (
    *(running.run, running.plan, running.ops, running.schema, running.init, running.show, running.report),
    *(running.verify, similar.index, similar.similar),
    *(deciding.overlap, deciding.decide, deciding.what_if, deciding.diff),
    *(formats.convert, releasing.export, releasing.mixture, releasing.card, releasing.reproduce, assets.assets),
):
    main.add_command(command)
