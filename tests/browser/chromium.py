"""Where the browser is, and the message for when there is none."""

import os
import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
EXECUTABLE = next(filter(None, map(shutil.which, NAMES)), None)
IS_REQUIRED = os.environ.get("NABRA_REQUIRE_BROWSER") == "1"
"""Whether the tests fail without it, instead of being skipped."""

MISSING = "NO CHROMIUM WAS FOUND: THE BROWSER TESTS DID NOT RUN (apt-get install chromium)"

DISABLED_FEATURES = (
    # The pop-ups of the address bar are pages too, made anew with each window: without them a
    # test needs a third of the processor time.
    "WebUIOmniboxPopup",
    "WebUIOmniboxAimPopup",
    "OmniboxAimPopup",
    "Composebox",
    "SpareRendererForSitePerProcess",
    # What Playwright disables, as far as it concerns these tests.
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable",
    "LensOverlay",
    "MediaRouter",
    "PaintHolding",
    "ThirdPartyStoragePartitioning",
    "OptimizationHints",
    "NetworkTimeServiceQuerying",
    "AimEnabled",
    "PreconnectToSearch",
)
