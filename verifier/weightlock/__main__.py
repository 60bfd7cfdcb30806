"""`python -m weightlock`."""

import sys

from weightlock.cli.main import main

sys.exit(main())
