"""`python -m training.cli` is `edge-train`."""

import sys

from training.cli import main

sys.exit(main())
