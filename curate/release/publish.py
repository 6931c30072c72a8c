"""Puts a release where others find it: the Hugging Face Hub, or any place that fsspec writes to (S3, GCS, ...)."""

from __future__ import annotations

import json
import os
import posixpath
from pathlib import Path
from typing import Any, NamedTuple

from curate.errors import DataError, PlanError
from curate.release.check import open_release

MANIFEST = "manifest.json"
OURS = ["data/**", "dropped/**", "lines/**", "exports/**"]  # folders in which nothing of an earlier release stays


class Change(NamedTuple):
    """What publishing does to a file: `new`, `changed`, `same` or `removed`."""

    what: str
    path: str
    bytes: int


def upload(folder: str | Path, url: str, dry_run: bool = False) -> list[Change]:
    """Copy a release to a URL such as s3://bucket/name; what is there already is not sent again.

    The manifest goes last: where it is, the release is whole. Files of an earlier release that are no more are removed.
    Raises PlanError where the place holds other files, or no such place can be written.
    """
    fs, root = _filesystem(url)
    earlier = _earlier(fs, root, url)
    changes = _changes(Path(folder), earlier)
    if dry_run:
        return changes
    for change in sorted(changes, key=lambda change: change.path == MANIFEST):
        path = posixpath.join(root, change.path)
        if change.what in ("new", "changed"):
            fs.makedirs(posixpath.dirname(path), exist_ok=True)
            fs.put_file(str(Path(folder, change.path)), path)
    for change in changes:
        if change.what == "removed":
            fs.rm_file(posixpath.join(root, change.path))
    return changes


def look(url: str, folder: Path) -> None:
    """Bring the card and the manifest of the release at a URL, if there is one, so that a new one takes its place."""
    fs, root = _filesystem(url)
    if not _earlier(fs, root, url):
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("README.md", MANIFEST):
        if fs.exists(posixpath.join(root, name)):
            fs.get_file(posixpath.join(root, name), str(folder / name))


def push(folder: str | Path, repo: str, private: bool = False, dry_run: bool = False) -> list[Change]:
    """Make a dataset of the Hugging Face Hub be this release, in one commit; `repo` is USER/NAME.

    The token is that of `hf auth login`, or HF_TOKEN. A dry run asks the Hub what is there and changes nothing.
    Raises PlanError for what the Hub refuses, such as a name or a token.
    """
    from huggingface_hub import HfApi

    api, manifest = HfApi(os.environ.get("HF_ENDPOINT"), library_name="curate"), open_release(folder)
    try:
        changes = _changes(Path(folder), _on_hub(api, repo))
        if not dry_run:
            api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)
            about, rows = manifest["dataset"], manifest["total"]["rows"]
            said = f"{about['name']}: {rows:,} documents, run {about['run']}"
            api.upload_folder(
                repo_id=repo, repo_type="dataset", folder_path=folder, commit_message=said, delete_patterns=OURS
            )
    except Exception as error:  # its client has many, and each means that nothing was published
        raise PlanError(f"the Hub does not take {repo}: {error}") from error
    return changes


def _on_hub(api: Any, repo: str) -> dict[str, tuple[int, str]]:
    """Files of a dataset: their sizes, and SHA-256 where the Hub knows it; none where there is no such dataset."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        tree = [*api.list_repo_tree(repo, repo_type="dataset", recursive=True)]
    except RepositoryNotFoundError:
        return {}
    files = [item for item in tree if hasattr(item, "blob_id") and item.path != ".gitattributes"]
    return {file.path: (file.size, file.lfs.sha256 if file.lfs else "") for file in files}


def _filesystem(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    try:
        fs, root = url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise PlanError(f"{url}: {error} (for S3 and GCS: pip install 'curate[s3]' or 'curate[gs]')") from error
    return fs, str(root).rstrip("/")


def _earlier(fs: Any, root: str, url: str) -> dict[str, tuple[int, str]]:
    """The files of the release that is there: sizes, and SHA-256 where its manifest says it."""
    try:
        fs.invalidate_cache()
        there = {path: about for path, about in fs.find(root, detail=True).items() if path != root}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DataError(f"cannot look at {url}: {error}") from error
    if not there:
        return {}
    name = posixpath.join(root, MANIFEST)
    told = json.loads(fs.cat_file(name)) if name in there else {}
    if "manifest_version" not in told:
        raise PlanError(f"{url} holds files that are no release: choose another place, or empty it")
    hashes = {file["path"]: file["sha256"] for part in ("files", "dropped", "lines") for file in told.get(part, [])}
    names = {posixpath.relpath(path, root): about["size"] for path, about in there.items()}
    return {name: (bytes_, hashes.get(name, "")) for name, bytes_ in names.items()}


def _changes(folder: Path, there: dict[str, tuple[int, str]]) -> list[Change]:
    """Every file of the release, and every file that only the other place has."""
    manifest = open_release(folder)
    hashes = {file["path"]: file["sha256"] for part in ("files", "dropped", "lines") for file in manifest.get(part, [])}
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name, bytes_ = path.relative_to(folder).as_posix(), path.stat().st_size
        known = there.get(name)
        is_same = known is not None and name in hashes and known[1] == hashes[name]
        found.append(Change("new" if known is None else "same" if is_same else "changed", name, bytes_))
    names = {change.path for change in found}
    gone = sorted(name for name in there if name not in names)
    return [*found, *(Change("removed", name, there[name][0]) for name in gone)]
