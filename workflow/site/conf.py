"""Settings of Sphinx for `make site`: READMEs and executed notebooks as they are, in reading order."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from workflow.address import ADDRESS, BRANCH  # noqa: E402
from workflow.site.build import READING_ORDER, toctrees  # noqa: E402

project = "Mammalian Genome Notebooks"
html_title = project
extensions = ["myst_nb"]
root_doc = "README"
include_patterns = [f"{page}.*" for pages in READING_ORDER.values() for page in pages]
exclude_patterns = ["**/*.py"]
suppress_warnings = ["myst.header"]

nb_execution_mode = "off"  # outputs are those that are committed
myst_heading_anchors = 4  # links such as README.md#use-a-trained-model

html_theme = "furo"
html_theme_options = (
    {"source_repository": f"{ADDRESS}/", "source_branch": BRANCH, "source_directory": ""} if ADDRESS else {}
)
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_use_index = False
html_show_sphinx = False
html_show_copyright = False
pygments_style = "friendly"
pygments_dark_style = "monokai"


def setup(app):
    def with_contents(_, page, source):
        if page == root_doc:
            source[0] += toctrees()

    app.connect("source-read", with_contents)
