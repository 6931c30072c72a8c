"""Parts of addresses, and lists of sites that cover them."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import PlanError
from curate.operators.url import UrlCategories, UrlSignals, listed

SITES = Path(__file__).resolve().parents[1] / "data/sites"
UT1 = Path(__file__).resolve().parents[3] / "shared/data/lists/ut1.tar.zst"
PSL = Path(__file__).resolve().parents[3] / "shared/data/lists/psl/tests/tests.txt"
FULL = {
    "scheme": "https",
    "host": "news.example.co.uk",
    "registered_domain": "example.co.uk",
    "public_suffix": "co.uk",
    "is_ip": False,
    "subdomain_depth": 1,
    "path_depth": 2,
    "parameter_count": 2,
    "length": 55,
}


def parts(url: str) -> dict[str, Any]:
    return {name.removeprefix("url_"): value for name, value in UrlSignals()({"url": url}).items()}


def test_every_part() -> None:
    assert parts("https://u:p@News.Example.co.uk:80/a//b.html?x=1&y=2#z/q") == FULL


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("example.org", {"scheme": None, "registered_domain": "example.org", "path_depth": 0}),
        ("//cdn.example.org/x", {"scheme": None, "host": "cdn.example.org"}),
        ("http://192.0.2.1:80/", {"is_ip": True, "registered_domain": None, "public_suffix": None}),
        ("http://[2001:db8::1]/", {"is_ip": True, "host": "[2001:db8::1]", "subdomain_depth": 0}),
        ("http://co.uk/", {"registered_domain": None, "public_suffix": "co.uk"}),
        ("http://a.blogspot.com/", {"registered_domain": "a.blogspot.com", "subdomain_depth": 0}),
        ("http://bücher.example./", {"host": "bücher.example", "registered_domain": "bücher.example"}),
        ("HTTP://EXAMPLE.ORG/A", {"scheme": "http", "host": "example.org", "length": 20}),
        ("http://x.example/?a=b://c/d", {"path_depth": 0, "parameter_count": 1}),
    ],
)
def test_unusual_addresses(url: str, expected: dict[str, Any]) -> None:
    assert expected.items() <= parts(url).items()


@pytest.mark.parametrize(
    "url", ["", " ", "mailto:a@example.org", "javascript:void(0)", "http://", "http://a b/", "http://../"]
)
def test_what_is_no_address_has_only_a_length(url: str) -> None:
    found = parts(url)
    assert found.pop("length") == len(url) and set(found.values()) == {None}


def test_some_signals_and_wrong_names() -> None:
    assert list(UrlSignals(signals=("url_host",)).writes()) == ["url_host"]
    with pytest.raises(ValueError, match="url_signals has no signal 'url_hots' - did you mean 'url_host'"):
        UrlSignals(signals=("url_hots",))


LABEL = st.text("abcxyz019-é", min_size=1, max_size=6)
ADDRESSES = st.builds(
    lambda scheme, host, port, path, query: f"{scheme}://{'.'.join(host)}{port}{path}{query}",
    st.sampled_from(["http", "HTTPS", "ftp"]),
    st.lists(LABEL, min_size=1, max_size=5),
    st.sampled_from(["", ":80"]),
    st.text("/ab .%é", max_size=8).map(lambda path: f"/{path}"),
    st.sampled_from(["", "?", "?a=1", "?a&&b#c", "#frag?no"]),
)


@settings(max_examples=200, deadline=None)
@given(ADDRESSES)
def test_parts_agree_with_the_standard_library(url: str) -> None:
    twin, found = urlsplit(url), parts(url)
    assert found["scheme"] == twin.scheme and found["host"] == (twin.hostname or "")
    assert found["path_depth"] == len([part for part in twin.path.split("/") if part])
    assert found["parameter_count"] == len([part for part in twin.query.split("&") if part])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(max_size=30), ADDRESSES), max_size=20))
def test_any_text_and_any_batch(urls: list[str | None]) -> None:
    table = UrlSignals()(pa.table({"url": pa.array(urls, pa.string())}))
    for row, url in zip(table.to_pylist(), urls, strict=True):
        assert row == {"url": url} | (
            UrlSignals()({"url": url}) if url is not None else dict.fromkeys(UrlSignals().writes())
        )


@pytest.mark.skipif(not PSL.exists(), reason="the shared Public Suffix List tests are not here")
def test_the_public_suffix_list_s_own_cases() -> None:
    lines = [
        line.split() for line in PSL.read_text(encoding="utf-8").splitlines() if line and not line.startswith("//")
    ]
    pairs = [(host, wanted) for host, wanted in lines if host != "null" and not host.startswith(".")]
    assert len(pairs) > 50
    for host, wanted in pairs:
        found = parts(f"http://{host}/")["registered_domain"]
        assert found == (None if wanted == "null" else wanted.lower()), host


# ---------------------------------------------------------------- lists


@pytest.mark.parametrize(
    ("url", "covers", "exact"),
    [
        ("http://example.org/x", ["games"], ["games"]),
        ("http://www.example.org/", ["games"], []),
        ("http://notexample.org/", [], []),
        ("http://a.b.example.net:8080/", ["games", "shops"], []),
        ("http://example.com/", [], []),
        ("http://shop.example.com/", ["shops"], ["shops"]),
        ("http://x.co.uk/", [], []),
        ("http://x.blogspot.com/", [], []),
        ("http://192.0.2.1/", ["shops"], ["shops"]),
        ("http://1.192.0.2.1.example.de/", ["shops"], []),
    ],
)
def test_which_lists_cover_a_host(url: str, covers: list[str], exact: list[str]) -> None:
    found = UrlCategories(lists=str(SITES))({"url": url})
    assert found == {"url_categories": covers, "url_categories_exact": exact, "url_category_count": len(covers)}


def test_some_categories_nulls_and_no_addresses() -> None:
    operator = UrlCategories(lists=str(SITES), categories=("shops",))
    table = operator(pa.table({"url": ["http://example.net/", None, "?", "http://example.org"]}))
    assert table["url_categories"].to_pylist() == [["shops"], None, None, []]
    assert table["url_category_count"].to_pylist() == [1, None, None, 0]


def test_lists_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="has no category 'game' - did you mean 'games'"):
        UrlCategories(lists=str(SITES), categories=("game",)).check({})
    with pytest.raises(PlanError, match="has no folders with a file `domains`"):
        UrlCategories(lists=str(tmp_path)).check({})


def test_the_fingerprint_follows_the_lists(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/domains").write_text("example.org")
    before = UrlCategories(lists=str(tmp_path)).identity()
    (tmp_path / "a/domains").write_text("example.net")
    assert UrlCategories(lists=str(tmp_path)).identity() != before


@pytest.mark.skipif(not UT1.exists(), reason="the shared UT1 lists are not here")
def test_real_lists(tmp_path: Path) -> None:
    import io
    import tarfile

    import zstandard

    data = zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(UT1.open("rb")).read()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        wanted = [member for member in archive if member.name.endswith(("/gambling/domains", "/dating/domains"))]
        archive.extractall(tmp_path, wanted, filter="data")
    folder = next(tmp_path.rglob("gambling")).parent
    names = (folder / "gambling/domains").read_text().split()
    found = UrlCategories(lists=str(folder))(pa.table({"url": [f"http://{name}/" for name in names]}))
    assert all("gambling" in row for row in found["url_categories_exact"].to_pylist())
    assert len(listed(UrlCategories(lists=str(folder)).files()).hashes) > len(names)
