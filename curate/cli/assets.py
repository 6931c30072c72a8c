"""Commands for word lists and models."""

from __future__ import annotations

import sys

import click

from curate.errors import AssetError


@click.group()
def assets() -> None:
    """Word lists and models that recipes name: list them, get them, check them.

    \b
    They are kept in the folder CURATE_ASSETS (default: a folder of your own),
    which may be shared. CURATE_MIRRORS names addresses to try before upstream.

    \b
    Example:
      curate assets get lid.176.ftz
    """


@assets.command("list")
def assets_list() -> None:
    """List the known assets: version, size, licence, whether they are here, and what uses them.

    \b
    Example:
      curate assets list
    """
    from curate.catalogue import assets_text

    click.echo(assets_text())


@assets.command("get")
@click.argument("names", nargs=-1, required=True)
@click.option("--mirror", "mirrors", multiple=True, metavar="URL", help="An address to try first; may be repeated.")
def assets_get(names: tuple[str, ...], mirrors: tuple[str, ...]) -> None:
    """Fetch assets, or go on fetching them, and check their bytes.

    \b
    Example:
      curate assets get ldnoobw/en lid.176.ftz
    """
    from curate.assets import find, get

    for name in names:
        asset, files = find(name)
        size = sum(asset.files[file].size for file in files)
        with click.progressbar(length=size, label=name, file=sys.stderr) as bar:
            path = get(name, mirrors, bar.update)
        click.echo(f"{name}  {path}")


@assets.command("verify")
@click.argument("names", nargs=-1)
def assets_verify(names: tuple[str, ...]) -> None:
    """Read assets (default: all that are here) and compare their bytes with the registry.

    \b
    Example:
      curate assets verify ldnoobw
    """
    from curate.assets import registry, verify

    here = [name for name, asset in registry().items() if not asset.absent()]
    wrong = {name: verify(name) for name in names or here}
    for name, problems in wrong.items():
        click.echo(f"{name}  {'; '.join(problems) or 'good'}")
    if any(wrong.values()):
        raise AssetError(f"curate assets get {next(name for name, found in wrong.items() if found)} brings it in order")
