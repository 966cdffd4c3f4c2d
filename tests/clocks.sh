#!/bin/sh
# Runs the tests that depend on time while the machine's clock is shifted (libfaketime) to moments at which clocks are awkward:
# after midnight UTC, at the end of a month and of a year, on 29 February, when summer time begins and ends; in zones east and
# west of UTC. The simulated accounts have a day of their own (ACCOUNT_DAY), near the end of a month too.
#
# Takes names of tests (none: all that depend on time) and `--list` for the moments. Tests with a bucket are left out: the S3
# server is a Go program, which no library shifts, and it refuses signatures that are more than a quarter of an hour off.
set -eu
cd "$(dirname "$0")/.."

# moment (UTC), zone, day of the accounts (days before, so that their clock stays behind the machine's)
moments="2027-03-15T00:30:00 UTC 2025-11-19
2027-01-31T23:59:00 Pacific/Kiritimati 2026-11-30
2027-12-31T23:58:30 America/Los_Angeles 2026-12-31
2028-02-29T05:59:00 Asia/Kolkata 2025-11-19
2028-04-01T12:00:00 UTC 2028-02-29
2027-03-28T00:59:30 Europe/London 2026-03-28
2027-10-31T00:59:30 Europe/London 2026-10-24
2027-03-14T09:59:30 America/Los_Angeles 2026-02-28"

if [ "${1:-}" = --list ]; then
	echo "$moments"
	exit
fi
library=${FAKETIME_LIBRARY:-}
for place in /usr/lib/*/faketime /usr/lib/faketime /usr/local/lib/faketime /usr/lib64/faketime; do
	if [ -z "$library" ] && [ -e "$place/libfaketimeMT.so.1" ]; then
		library=$place/libfaketimeMT.so.1
	fi
done
if [ -z "$library" ]; then
	echo "libfaketime is missing: install it (Debian: apt-get install faketime), or name it in FAKETIME_LIBRARY" >&2
	exit 1
fi
if [ ! -e /usr/share/zoneinfo/Pacific/Kiritimati ]; then
	echo "the time zones are missing: install them (Debian: apt-get install tzdata)" >&2
	exit 1
fi

tests=$("${CARGO:-cargo}" test --test it --no-run 2>&1 | sed -n 's/.*Executable.*(\(.*\))$/\1/p')
if [ $# -eq 0 ]; then
	set -- cadence:: clocks:: destination::a_clock export:: repair:: reread:: stock:: loading:: plan:: clean:: oauth:: \
		throttle:: signals:: verify::
fi
echo "$moments" | while read -r moment zone day; do
	shift=$(printf "%+d" $(($(date -u -d "$moment" +%s) - $(date -u +%s))))
	seen=$(LD_PRELOAD=$library FAKETIME="${shift}s" date -u +%Y-%m-%dT%H:%M)
	echo "== $moment UTC (seen as $seen), in $zone, accounts of $day"
	LD_PRELOAD=$library FAKETIME="${shift}s" FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1 TZ=$zone \
		ACCOUNT_DAY=$day "$tests" "$@" --skip bucket < /dev/null
done
