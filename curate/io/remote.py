"""Files elsewhere, through fsspec: reading goes on where it was when a connection breaks, listing goes page by page."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from curate.errors import DataError

WAITS = (0.5, 2.0, 8.0)  # seconds before a failed read is tried again
FINAL = (FileNotFoundError, PermissionError, DataError, NotImplementedError)  # what waiting does not mend
PIECE = 1 << 20
T = TypeVar("T")
Page = tuple[
    list[tuple[str, dict[str, Any]]], str
]  # names of objects with what is known of them; where the next begins


def stamp_in(info: dict[str, Any]) -> str:
    """What changes with the content of a remote file, in what its filesystem says of it; empty when it says nothing."""
    known = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "updated", "created")
    return next((str(info[key]) for key in known if info.get(key)), "")


class Remote(io.RawIOBase):
    """A remote file open for reading. A read that fails is tried again, from where it was, a few times.

    Raises DataError when the file is another one by then, else the filesystem's own errors.

    >>> import fsspec
    >>> fsspec.filesystem("memory").pipe("/notes/a.txt", b"one two")
    >>> with Remote("memory://notes/a.txt", seekable=True) as file:
    ...     file.seek(4), file.read()
    (4, b'two')
    """

    def __init__(self, url: str, seekable: bool) -> None:
        super().__init__()
        # Block size 0 means plain streaming over HTTP, which needs no server that can send parts of a file.
        self._options = {"block_size": 0} if url.startswith(("http://", "https://")) and not seekable else {}
        self.url, self._at, self._stamp = url, 0, ""
        self._opened: Any = None  # what closes the file, and what it is inside
        self._file: Any = None
        self._persist(self._reopened)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        if self._options and not whence:  # a stream begins anew, and is read up to there
            self._drop()
            self._at = offset
            return offset
        self._at = self._persist(lambda: self._reopened().seek(offset, whence))
        return self._at

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._persist(lambda: self._reopened().read(size))
        self._at += len(data)
        return data

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._drop()
        super().close()

    def _persist(self, attempt: Callable[[], T]) -> T:
        for wait in WAITS:
            try:
                return attempt()
            except FINAL:
                raise
            except Exception:
                self._drop()
                time.sleep(wait)
        return attempt()

    def _reopened(self) -> Any:
        """The open file, at the place where reading goes on."""
        if self._file is None:
            import fsspec

            self._opened = fsspec.open(self.url, "rb", **self._options)
            self._file = self._opened.__enter__()
            self._check_same(self._file)
            self._go_on(self._file)
        return self._file

    def _check_same(self, file: Any) -> None:
        details = getattr(file, "details", None)
        stamp = stamp_in(details) if isinstance(details, dict) else ""
        if self._stamp and stamp != self._stamp:
            raise DataError(f"{self.url}: has changed while it was read; run again when it is written no more")
        self._stamp = stamp

    def _go_on(self, file: Any) -> None:
        if self._at and self._options:  # a stream can only be read up to there
            left = self._at
            while left and (data := file.read(min(left, PIECE))):
                left -= len(data)
            if left:
                raise DataError(f"{self.url}: has become shorter while it was read; run again")
        elif self._at:
            file.seek(self._at)

    def _drop(self) -> None:
        opened, self._opened, self._file = self._opened, None, None
        try:
            if opened is not None:
                opened.__exit__(None, None, None)
        except Exception:  # it has failed already, and what it says of its end is no news
            pass


def pages(fs: Any, folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The files below a remote folder with what is known of each; those of S3 and GCS as they come, never all at once.

    >>> import fsspec
    >>> store = fsspec.filesystem("memory")
    >>> store.pipe("/listed/deep/b.txt", b"two")
    >>> [(name, found["size"]) for name, found in pages(store, "/listed")]
    [('/listed/deep/b.txt', 3)]
    """
    page_of = _page_of_s3 if hasattr(fs, "call_s3") else _page_of_gcs if "gcs" in fs.protocol else None
    if page_of is None:
        yield from fs.find(folder, detail=True).items()
        return
    bucket, key, _ = fs.split_path(folder)
    prefix, more = f"{key.rstrip('/')}/" if key else "", ""
    while True:
        found, more = page_of(fs, bucket, prefix, more)
        for name, info in found:
            if not name.endswith("/"):  # such a name stands for a folder
                yield f"{bucket}/{name}", info
        if not more:
            return


def _page_of_s3(fs: Any, bucket: str, prefix: str, more: str) -> Page:
    token = {"ContinuationToken": more} if more else {}
    page = fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, **token)
    found = [(each["Key"], {"size": each["Size"], "ETag": each["ETag"]}) for each in page.get("Contents", ())]
    return found, page["NextContinuationToken"] if page.get("IsTruncated") else ""


def _page_of_gcs(fs: Any, bucket: str, prefix: str, more: str) -> Page:
    said = {"prefix": prefix, "fields": "items(name,size,etag),nextPageToken", "pageToken": more or None}
    page = fs.call("GET", "b/{}/o", bucket, json_out=True, **said)
    found = [(each["name"], {"size": int(each["size"]), "etag": each["etag"]}) for each in page.get("items", ())]
    return found, page.get("nextPageToken", "")
