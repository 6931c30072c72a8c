"""External word lists and models: fetched once into a folder, checked, resumed, and found by name (`assets.yaml`).

They lie at NAME/VERSION/FILE below `CURATE_ASSETS` (a folder that users may share), or else the user's cache folder.
`CURATE_MIRRORS` names web addresses with the same layout, which are tried before the upstream ones.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import http.client
import importlib.util
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path
from typing import BinaryIO

import msgspec
import yaml

from curate.errors import AssetError, PlanError, nearest

CHUNK = 1 << 16
TIMEOUT = 30.0  # seconds without a byte
FRUITLESS = 3  # attempts in a row that bring no byte, after which an address is given up

Tell = Callable[[int], None]


class File(msgspec.Struct, frozen=True, array_like=True):
    """What is known of a file before it is fetched."""

    size: int
    sha256: str


class Asset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry of `assets.yaml`: one file, or a folder of several.

    url      upstream address; `{file}` stands for the name of a file
    package  instead of a URL: the installed Python package that carries the file
    """

    about: str
    version: str
    licence: str
    used_by: tuple[str, ...]
    files: dict[str, File]
    url: str | None = None
    package: str | None = None
    name: str = ""

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files.values())

    def path(self, file: str = "") -> Path:
        """Where a file of the asset is, or will be; without one, that of its only file, or its folder."""
        name = file or (next(iter(self.files)) if len(self.files) == 1 else "")
        if self.package:
            spec = importlib.util.find_spec(self.package)
            return Path(spec.origin if spec and spec.origin else self.package).parent / name
        return folder() / self.name / self.version / name

    def absent(self, files: Iterable[str] = ()) -> list[str]:
        """Those of the files (default: all) that are not here in their full size."""
        return [name for name in files or self.files if not _has_size(self.path(name), self.files[name].size)]


def folder() -> Path:
    """Where assets are kept: `CURATE_ASSETS`, or a folder in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("CURATE_ASSETS") or cache / "curate" / "assets").expanduser()


@functools.cache
def registry() -> dict[str, Asset]:
    """All known assets by name."""
    text = resources.files("curate").joinpath("assets.yaml").read_text(encoding="utf-8")
    known = msgspec.convert(yaml.safe_load(text), dict[str, Asset])
    return {name: msgspec.structs.replace(asset, name=name) for name, asset in known.items()}


def find(name: str) -> tuple[Asset, tuple[str, ...]]:
    """The asset called `name` and its files; of `ldnoobw/en` only that file. PlanError when there is none."""
    known, (head, _, file) = registry(), name.partition("/")
    if head not in known:
        raise PlanError(f"no asset {name!r}{nearest(head, known)} (curate assets list names them)")
    asset = known[head]
    if file and file not in asset.files:
        hint = nearest(file, asset.files) or f"; it has {', '.join(asset.files)}"
        raise PlanError(f"asset {head} has no file {file!r}{hint}")
    return asset, (file,) if file else tuple(asset.files)


def locate(name: str | Path) -> Path:
    """The file or folder that a recipe means: a path as it is, or an asset by its name (`ldnoobw`, `ldnoobw/en`).

    Raises PlanError, with the command that gets it, when the asset is known but not here.
    """
    if Path(name).exists():
        return Path(name)
    if str(name).partition("/")[0] not in registry():
        raise PlanError(f"{name} is neither a file nor an asset{nearest(str(name), registry())} (curate assets list)")
    asset, files = find(str(name))
    if asset.absent(files):
        raise PlanError(f"the asset {name} is not here; this gets it: {_command(asset, str(name))}")
    return asset.path("" if files == tuple(asset.files) else files[0])


def files(name: str | Path) -> tuple[str, ...]:
    """All files behind a path or an asset's name, sorted: what an operator's `files()` returns."""
    path = locate(name)
    return tuple(sorted(str(file) for file in path.rglob("*") if file.is_file())) if path.is_dir() else (str(path),)


def get(name: str, mirrors: Iterable[str] = (), tell: Tell = lambda more: None) -> Path:
    """Fetch what is absent of an asset and say where it is; `tell` hears of every byte more (or lost).

    A transfer that was cut off goes on where it ended. Raises AssetError when no address has the right bytes.
    """
    asset, wanted = find(name)
    if asset.package and asset.absent(wanted):
        raise AssetError(
            f"the asset {name} comes with the Python package {asset.package}: install it (pip install {asset.package})"
        )
    for file in wanted if not asset.package else ():
        if file in asset.absent([file]):
            _fetch(_addresses(asset, file, mirrors), asset.path(file), asset.files[file], tell)
        else:
            tell(asset.files[file].size)
    return locate(name)


def verify(name: str) -> list[str]:
    """Read an asset's files and say what is wrong with each that differs from what the registry knows."""
    asset, names = find(name)
    found = [f"{file} is absent" for file in asset.absent(names)]
    here = [file for file in names if file not in asset.absent([file])]
    return found + [
        f"{file} has other content" for file in here if _digest(asset.path(file)) != asset.files[file].sha256
    ]


def _command(asset: Asset, name: str) -> str:
    return f"pip install {asset.package}" if asset.package else f"curate assets get {name}"


def _addresses(asset: Asset, file: str, mirrors: Iterable[str]) -> list[str]:
    """Where to look, in order: mirrors given, mirrors of the environment, upstream."""
    hosts = [*mirrors, *os.environ.get("CURATE_MIRRORS", "").split()]
    upstream = (asset.url or "").replace("{file}", file)
    return [f"{host.rstrip('/')}/{asset.name}/{asset.version}/{file}" for host in hosts] + [upstream]


def _fetch(addresses: list[str], target: Path, file: File, tell: Tell) -> None:
    """Bring the file from the first address that has it; it appears whole, or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    problems = []
    with part.open("ab") as out:
        fcntl.flock(out, fcntl.LOCK_EX)  # two people may fetch into a shared folder at once
        if _has_size(target, file.size):
            return tell(file.size)
        tell(out.tell())
        for address in addresses:
            built_upon = out.tell()
            problem = _download(address, out, file.size, tell) or _wrong(part, file)
            if problem and built_upon and out.tell() >= file.size:  # the beginning may be another address's fault
                _empty(out, tell)
                problem = _download(address, out, file.size, tell) or _wrong(part, file)
            if problem is None:
                return os.replace(part, target)
            problems.append(f"  {address}: {problem}")
            if out.tell() >= file.size:  # whole, but wrong: nothing to build upon
                _empty(out, tell)
    advice = f"could not get {target.name}; the same command goes on where this one ended"
    raise AssetError("\n".join([advice, *problems]))


def _download(address: str, out: BinaryIO, size: int, tell: Tell) -> str | None:
    """Append what is missing, again and again while that brings something; what went wrong, or None."""
    problem, fruitless = None, 0
    while out.tell() < size and fruitless < FRUITLESS:
        before = out.tell()
        try:
            _append(address, out, size, tell)
            problem = f"the connection ended after {out.tell()} of {size} bytes"
        except urllib.error.HTTPError as error:
            return f"HTTP {error.code} {error.reason}"
        except (OSError, http.client.HTTPException, ValueError) as error:
            problem = str(error) or type(error).__name__
        fruitless = 0 if out.tell() > before else fruitless + 1
        if out.tell() < size and fruitless:
            time.sleep(0.1 * 4**fruitless)
    return None if out.tell() >= size else problem


def _append(address: str, out: BinaryIO, size: int, tell: Tell) -> None:
    """One request for the bytes from here on. A server that sends the file from its beginning is heard from there."""
    have = out.tell()
    headers = {"User-Agent": "curate", "Accept-Encoding": "identity"}
    headers |= {"Range": f"bytes={have}-"} if have else {}
    with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=TIMEOUT) as answer:
        if have and not (answer.headers.get("Content-Range") or "").startswith(f"bytes {have}-"):
            _empty(out, tell)
        while out.tell() <= size and (chunk := answer.read(CHUNK)):
            out.write(chunk)
            tell(len(chunk))
    out.flush()


def _empty(out: BinaryIO, tell: Tell) -> None:
    tell(-out.tell())
    out.truncate(0)
    out.seek(0)


def _wrong(part: Path, file: File) -> str | None:
    """What distinguishes a complete download from the file that was wanted."""
    size = part.stat().st_size
    if size != file.size:
        return f"it has more than the {file.size} bytes it should have"
    found = _digest(part)
    return None if found == file.sha256 else f"its SHA-256 is {found}, not {file.sha256}"


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size
