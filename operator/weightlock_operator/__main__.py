"""`python -m weightlock_operator`: reads the environment, and runs until told to stop."""

import os
import sys

from weightlock_operator import logs
from weightlock_operator.process import main
from weightlock_operator.settings import Settings, SettingsInvalid, help_text

EXIT_USAGE = 2

if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.stdout.write(help_text("weightlock_operator"))
        sys.exit(0 if sys.argv[1:] in (["--help"], ["-h"]) else EXIT_USAGE)
    try:
        settings = Settings.from_environ(os.environ)  # noqa: TID251 - the edge where it is read
    except SettingsInvalid as error:
        sys.stderr.write(f"{error.message}\n")
        sys.exit(EXIT_USAGE)
    logs.configure(settings.log_format)
    sys.exit(main(settings))
