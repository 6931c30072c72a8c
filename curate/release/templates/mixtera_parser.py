"""Mixtera's view of this release: every property of the domains is a plain STRING (it knows no numbers)."""

from typing import Any

from mixtera.core.datacollection.index.parser import MetadataParser
from mixtera.core.datacollection.index.parser.metadata_parser import MetadataProperty


class CurateParser(MetadataParser):
    """Stands alone, because a Mixtera server is sent its source."""

    @classmethod
    def get_properties(cls) -> list[MetadataProperty]:
        PROPERTIES = ...
        return [MetadataProperty(name=name, dtype="STRING", multiple=False, nullable=False) for name in PROPERTIES]

    def parse(self, line_number: int, payload: Any, **kwargs: dict[Any, Any]) -> None:
        PROPERTIES = ...
        self.add_metadata(sample_id=line_number, **{name: payload[name] for name in PROPERTIES})
