"""The documentation site: `make docs` builds it with Sphinx from the Markdown of this folder and the docstrings.

Sphinx, because it links names in docstrings to their definitions, checks every link, and is maintained.
"""

from __future__ import annotations

import re

from sphinx.application import Sphinx

from textome import __version__

project = "Textome"
author = "The Textome developers"
copyright = "The Textome developers, Apache License 2.0"
release = version = __version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.intersphinx", "sphinx.ext.viewcode", "sphinx_copybutton"]
nb_execution_mode = "off"  # tests/test_notebooks.py runs them; their outputs are stored
exclude_patterns = ["README.md"]  # the index of those who read the folder itself
html_theme = "furo"
html_title = f"Textome {__version__}"
html_static_path = ["images"]
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "deflist"]
# `{...}` after a link or an image is text here, not an attribute.
suppress_warnings = ["myst.header"]
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_class_signature = "separated"
copybutton_prompt_text = r">>> |\$ "
copybutton_prompt_is_regexp = True
nitpicky = False
default_role = "py:obj"
# `make links`: a service of one's own is not on the web.
linkcheck_ignore = [r"https?://(localhost|127\.0\.0\.1|HOST)"]
linkcheck_timeout = 30
linkcheck_retries = 2

# Lines of a docstring that explain fields: their names, two or more spaces, the text. Further lines are indented.
_FIELDS = re.compile(r"^([A-Za-z_][\w.]*(?:, [A-Za-z_][\w.]*)*)  +(\S.*)$")
_REPOSITORY_PAGE = re.compile(r"\[[^\]]+\]\((?:\.\./)+([A-Z]+\.md|(?:src|packages|examples)/[^)]+\.md)\)")


def as_list(app: Sphinx, what: str, name: str, item: object, options: object, lines: list[str]) -> None:
    """Fields that a docstring explains in aligned columns, as a list."""
    shown: list[str] = []
    in_fields = False
    for line in lines:
        match = _FIELDS.match(line)
        if match:
            if not in_fields and shown and shown[-1]:
                shown.append("")
            shown.append(f"- ``{match[1]}``: {match[2]}")
        else:
            in_fields = in_fields and line[:1] == " "
            shown.append(f"  {line.strip()}" if in_fields else line)
            continue
        in_fields = True
    lines[:] = shown


def outside(app: Sphinx, page: str, source: list[str]) -> None:
    """Links to pages of the repository that are not part of the site become names."""
    source[0] = _REPOSITORY_PAGE.sub(r"`\1`", source[0])


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", as_list)
    app.connect("source-read", outside)
