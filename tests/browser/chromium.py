"""Where the browser is, and what is said when there is none."""

import os
import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
EXECUTABLE = next(filter(None, map(shutil.which, NAMES)), None)
IS_REQUIRED = os.environ.get("NABRA_REQUIRE_BROWSER") == "1"
"""Whether its absence is a failure."""

MISSING = "NO CHROMIUM WAS FOUND: THE BROWSER TESTS DID NOT RUN (apt-get install chromium)"
