"""Print what pyproject.toml asks for (dependencies and the dev group), leaving out the names given as arguments."""

import re
import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
wanted = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
print("\n".join(line for line in wanted if re.split(r"[^\w.-]", line)[0] not in sys.argv[1:]))
