"""Where the browser is, and the message for when there is none."""

import os
import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
EXECUTABLE = next(filter(None, map(shutil.which, NAMES)), None)
IS_REQUIRED = os.environ.get("NABRA_REQUIRE_BROWSER") == "1"
"""Whether the tests fail without it, instead of being skipped."""

MISSING = "NO CHROMIUM WAS FOUND: THE BROWSER TESTS DID NOT RUN (apt-get install chromium)"
