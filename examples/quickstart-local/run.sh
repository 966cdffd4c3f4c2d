#!/bin/sh
# Checks the settings, exports the account to the folder `lake` beside this file, and looks at what is there.
# Needs BRIGHTPEARL_STAFF_TOKEN; exits with the code of the run (docs/troubleshooting.md, "Exit codes").
set -eu
cd "$(dirname "$0")"
pearlift check
pearlift run
pearlift status
