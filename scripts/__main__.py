"""`python3 -m scripts COMMAND`, in words that any Python 3 reads: an old one gets an answer."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - nobody's installer has checked it yet
    found = "%d.%d" % sys.version_info[:2]  # noqa: UP031
    sys.stderr.write("persona-store needs Python 3.11 or newer, and this is %s.\n" % found)  # noqa: UP031
    sys.exit(2)

from scripts.bootstrap import ensure_installed

ensure_installed()

from scripts.app import main  # noqa: E402 - what it imports is there only now

main()
