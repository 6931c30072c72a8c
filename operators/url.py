"""What a document's address says: its domain by the Public Suffix List, its path, and lists that name it.

Python sees each host of a batch once. On pages of the web that is 3 to 5 microseconds a URL, 12 where no host repeats.
"""

import functools
import importlib.metadata
import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate import assets
from curate.addresses import ADDRESS
from curate.errors import PlanError, nearest
from curate.family import Family
from curate.operator import Signal


class UrlSignals(Family, frozen=True):
    """Parts of the column `url` (RFC 3986), its domain by the Public Suffix List in the installed publicsuffixlist.

    A missing scheme is allowed (example.org/a). All but url_length are null for text that is no such address.

    signals   names of the columns to write (default: all)

    url_scheme              scheme in lower case; null without one
    url_host                host in lower case, without user and port
    url_registered_domain   public suffix and one label more (example.co.uk); null for an IP address or bare suffix
    url_public_suffix       the suffix under which domains are registered (co.uk); null for an IP address
    url_is_ip               whether the host is an IP address
    url_subdomain_depth     labels before the registered domain (0 and more; 0 without one)
    url_path_depth          parts of the path between slashes (0 and more)
    url_parameter_count     parameters of the query (0 and more)
    url_length              characters of the whole address

    >>> UrlSignals()("https://news.example.co.uk/2024/a.html?id=7")["url_registered_domain"]
    'example.co.uk'
    """

    columns = {
        "url_scheme": pa.string(),
        "url_host": pa.string(),
        "url_registered_domain": pa.string(),
        "url_public_suffix": pa.string(),
        "url_is_ip": pa.bool_(),
        "url_subdomain_depth": pa.int32(),
        "url_path_depth": pa.int32(),
        "url_parameter_count": pa.int32(),
        "url_length": pa.int32(),
    }

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "publicsuffixlist": importlib.metadata.version("publicsuffixlist")}

    def compute(self, url: pa.StringArray) -> dict[str, pa.Array]:
        parts = pc.extract_regex(url, ADDRESS)
        hosts = hosts_of(parts)
        domains = [domain(name) for name in hosts.dictionary.to_pylist()]
        path, query = (parts.field(at).filter(parts.is_valid()) for at in ("path", "query"))
        whole = np.flatnonzero(parts.is_valid().to_numpy(zero_copy_only=False))
        counts = {
            "url_path_depth": pc.count_substring_regex(path, "[^/]+"),
            "url_parameter_count": pc.count_substring_regex(query, "[^&]+"),
        }
        found = {name: _spread(values, whole, len(url)) for name, values in counts.items()}
        scheme = pc.utf8_lower(pc.struct_field(parts, 0))
        found |= {"url_scheme": pc.if_else(pc.equal(scheme, ""), pa.scalar(None, pa.string()), scheme)}
        found |= {"url_host": hosts.dictionary_decode(), "url_length": pc.utf8_length(url)}
        for name, at in {"url_registered_domain": 0, "url_public_suffix": 1, "url_is_ip": 2}.items():
            found[name] = pa.array([each[at] for each in domains], self.columns[name]).take(hosts.indices)
        depth = [each.subdomains for each in domains]
        return self.chosen(found | {"url_subdomain_depth": pa.array(depth, pa.int32()).take(hosts.indices)})


class UrlCategories(Signal, frozen=True):
    """Lists of web sites that name the host of the column `url`, as UT1 (University of Toulouse) keeps them.

    A list names a site and all below it: example.org covers www.example.org. Nothing is covered by a public suffix, so
    that a listed co.uk or blogspot.com does not take all its customers with it. An IP address must be listed itself.

    lists        a folder with a folder for each category, in it a file `domains`, one domain a line; or the asset ut1
    categories   names of the categories to look in (default: all)

    url_categories         names of the categories that cover the host, in order; empty for none, null for no address
    url_categories_exact   those that list the very host
    url_category_count     how many cover it (0 and more)

    Raises PlanError when there are no lists, or no such category.

    >>> from pathlib import Path; from tempfile import mkdtemp
    >>> folder = Path(mkdtemp(), "games"); folder.mkdir(); _ = (folder / "domains").write_text("example.org")
    >>> UrlCategories(lists=str(folder.parent))("http://play.example.org/")["url_categories"]
    ['games']
    """

    example: ClassVar[dict[str, Any]] = {"lists": "ut1"}

    lists: str
    categories: tuple[str, ...] = ()

    def writes(self) -> dict[str, pa.DataType]:
        names = pa.list_(pa.string())
        return {"url_categories": names, "url_categories_exact": names, "url_category_count": pa.int32()}

    def files(self) -> tuple[str, ...]:
        known = {Path(path).parent.name: path for path in assets.files(self.lists) if Path(path).name == "domains"}
        if not known:
            raise PlanError(f"url_categories: {self.lists} has no folders with a file `domains`")
        for name in self.categories:
            if name not in known:
                raise PlanError(f"url_categories: {self.lists} has no category {name!r}{nearest(name, known)}")
        return tuple(path for name, path in sorted(known.items()) if not self.categories or name in self.categories)

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "publicsuffixlist": importlib.metadata.version("publicsuffixlist")}

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        self.files()

    def compute(self, url: pa.StringArray) -> dict[str, pa.Array]:
        hosts = hosts_of(pc.extract_regex(url, ADDRESS))
        names, lists = hosts.dictionary.to_pylist(), listed(self.files())
        covers = lists.find([covering(name) for name in names])
        exact = lists.find([[name] for name in names])
        kind = pa.list_(pa.string())
        found = {"url_categories": pa.array(covers, kind), "url_categories_exact": pa.array(exact, kind)}
        found["url_category_count"] = pa.array([len(each) for each in covers], pa.int32())
        return {name: values.take(hosts.indices) for name, values in found.items()}


class Domain(NamedTuple):
    """What the Public Suffix List knows of a host."""

    registered: str | None
    suffix: str | None
    is_ip: bool
    subdomains: int


class Lists(NamedTuple):
    """Domains of all categories as sorted 64-bit hashes, each with its category."""

    hashes: np.ndarray
    category: np.ndarray
    names: list[str]

    def find(self, candidates: list[list[str]]) -> list[list[str]]:
        """Categories that list one of each row's candidates, sorted."""
        flat = [name for row in candidates for name in row]
        row = np.repeat(np.arange(len(candidates)), [len(each) for each in candidates])
        wanted = _hash(flat)
        first, last = np.searchsorted(self.hashes, wanted), np.searchsorted(self.hashes, wanted, side="right")
        found: list[set[str]] = [set() for _ in candidates]
        for at in np.flatnonzero(last > first):
            found[row[at]] |= {self.names[category] for category in self.category[first[at] : last[at]]}
        return [sorted(names) for names in found]


def hosts_of(parts: pa.StructArray) -> pa.DictionaryArray:
    """Host of each address in lower case, without a final full stop; null where there is no address."""
    return pc.utf8_rtrim(pc.utf8_lower(pc.struct_field(parts, 1)), ".").dictionary_encode()


@functools.lru_cache(maxsize=1 << 16)
def domain(host: str) -> Domain:
    """The domain of a host in lower case.

    >>> domain("www.example.co.uk")
    Domain(registered='example.co.uk', suffix='co.uk', is_ip=False, subdomains=1)
    """
    if host[-1:].isdigit() or host.startswith("["):
        try:
            ipaddress.ip_address(host.strip("[]"))
            return Domain(None, None, True, 0)
        except ValueError:
            pass
    registered, suffix = _suffixes().privatesuffix(host), _suffixes().publicsuffix(host)
    deeper = host.count(".") - registered.count(".") if registered else 0
    return Domain(registered, suffix, False, deeper)


def covering(host: str) -> list[str]:
    """The names under which a list may hold a host: itself and what is above it, up to the registered domain.

    >>> covering("a.b.example.co.uk")
    ['a.b.example.co.uk', 'b.example.co.uk', 'example.co.uk']
    """
    names = [host]
    for _ in range(domain(host).subdomains):
        names.append(names[-1].partition(".")[2])
    return names


@functools.lru_cache(maxsize=2)
def listed(files: tuple[str, ...]) -> Lists:
    """The lists of all categories, read once per process."""
    names = [Path(path).parent.name for path in files]
    words = [Path(path).read_text(encoding="utf-8", errors="replace").lower().split() for path in files]
    hashes = np.concatenate([_hash(each) for each in words])
    order = np.argsort(hashes, kind="stable")
    category = np.repeat(np.arange(len(words)), [len(each) for each in words])
    return Lists(hashes[order], category[order], names)


def _hash(words: list[str]) -> np.ndarray:
    from curate.kernels.hashing import xxh3_128

    return xxh3_128(pa.array(words, pa.string()))[0]


@functools.cache
def _suffixes() -> Any:
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()


def _spread(values: pa.Array, rows: np.ndarray, length: int) -> pa.Array:
    """Values at some rows, null at the others."""
    at = np.full(length, -1)
    at[rows] = np.arange(len(rows))
    return values.take(pa.array(at, mask=at < 0)).cast(pa.int32())
