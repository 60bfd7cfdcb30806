"""`python -m weightlock.cli`."""

import sys

from weightlock.cli.main import main

sys.exit(main())
