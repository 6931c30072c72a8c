"""Web addresses: their parts (RFC 3986), and the canonical form by which two of them are the same page."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

# RFC 3986, but that the scheme may be missing; what follows the host must be a port, a path, a query or a fragment.
ADDRESS = (
    r"^(?:(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):)?//(?:[^/?#@\s]*@)?)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^/?#:@\[\]\s.][^/?#:@\[\]\s]*)(?::(?P<port>[0-9]+))?"
    r"(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?(?:#.*)?$"
)
TRACKING = (  # parameters that say where a reader came from, not what is shown
    r"utm_[^=&]*|hsa_[^=&]*|pk_[^=&]*|mtm_[^=&]*|fbclid|gclid|gclsrc|dclid|gbraid|wbraid|msclkid|yclid|twclid|ttclid|"
    r"igshid|igsh|mc_cid|mc_eid|_hsenc|_hsmi|_ga|_gl|oly_anon_id|oly_enc_id|vero_id|wickedid|s_cid|cmpid"
)


def canonical(url: pa.StringArray) -> pa.StringArray:
    """The canonical form of each address; null for null. What is no address stays as it is, without outer white space.

    - http, https and no scheme are the same and left out; others are kept, in lower case
    - the host in lower case, without `www.` and a final full stop; no user; no port 80 or 443 on the web
    - no fragment, no slashes at the end of the path
    - no parameters of tracking (utm_*, gclid, fbclid and the like); the others keep their order
    - percent-encoding as RFC 3986 has it: only where needed, in upper case; other letters are encoded as UTF-8

    >>> canonical(pa.array(["HTTPS://www.Example.org:443/%7Ea/b%2fc/?utm_source=x&id=7#top", "none "])).to_pylist()
    ['example.org/~a/b%2Fc?id=7', 'none']
    """
    url = pc.utf8_trim_whitespace(url)
    parts = pc.extract_regex(url, ADDRESS)
    scheme, host = (pc.utf8_lower(pc.struct_field(parts, name)) for name in ("scheme", "host"))
    port, path, query = (pc.struct_field(parts, name) for name in ("port", "path", "query"))
    port = pc.if_else(pc.equal(port, ""), "", pc.binary_join_element_wise(":", port, ""))
    is_web = pc.is_in(scheme, pa.array(["", "http", "https"]))
    whole = pc.binary_join_element_wise(
        pc.if_else(is_web, "", pc.binary_join_element_wise(scheme, "://", "")),
        pc.replace_substring_regex(pc.utf8_rtrim(host, "."), r"^(?:www\.)+([^.]+\.)", r"\1"),
        pc.if_else(pc.and_(is_web, pc.is_in(port, pa.array([":80", ":443"]))), "", port),
        _encoded(pc.utf8_rtrim(path, "/")),
        _query(_encoded(query)),
        "",
    )
    return pc.coalesce(whole, url)


def _query(query: pa.StringArray) -> pa.StringArray:
    """The query with a question mark, without parameters of tracking."""
    apart = pc.binary_join_element_wise("&", pc.replace_substring(query, "&", "&&"), "&", "")  # each as &name=value&
    kept = pc.replace_substring_regex(apart, f"(?i)&(?:{TRACKING})(?:=[^&]*)?&", "")
    kept = pc.utf8_trim(pc.replace_substring_regex(kept, "&&+", "&"), "&")
    return pc.if_else(pc.equal(kept, ""), "", pc.binary_join_element_wise("?", kept, ""))


def _encoded(text: pa.StringArray) -> pa.StringArray:
    from curate.kernels.percent import normalised

    return normalised(text)
