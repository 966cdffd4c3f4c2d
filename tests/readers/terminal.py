"""Runs a command on a terminal, as a user sees it.

    terminal.py COLUMNS THEN COMMAND [ARGUMENT …]

The terminal has so many columns, and THEN after a second. Prints a JSON object: `code`, the exit code; `colours`, the number of changes of
colour; `broken`, lines that were too long and went on in the next one, but for a moment after the change; `seen` and `seen_then`, every line
that was there at some time before and after the change; `left`, the lines at the end.

Needs the package pyte.
"""

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time

import pyte


class Screen(pyte.Screen):
    """Notes lines whose last column is written and that go on in the next line."""

    broken = []

    def draw(self, data):
        while data:
            at = self.cursor
            if at.x == self.columns and self.buffer[at.y][self.columns - 1].data != " ":
                self.broken.append(self.row(at.y))
            room = self.columns - at.x if at.x < self.columns else self.columns
            super().draw(data[:room])
            data = data[room:]

    def row(self, at):
        return "".join(self.buffer[at][column].data for column in range(self.columns)).rstrip()


def main():
    columns, then = int(sys.argv[1]), int(sys.argv[2])
    ours, theirs = pty.openpty()

    def resize(width):
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))

    resize(columns)
    process = subprocess.Popen(sys.argv[3:], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    pieces, began, changed = [], time.monotonic(), False
    while True:
        ended = process.poll() is not None
        readable, _, _ = select.select([ours], [], [], 0 if ended else 0.05)
        if not readable and ended:
            break
        after = time.monotonic() - began
        if not changed and after > 1 and columns != then:
            resize(then)
            changed, began_then = True, after
        if readable:
            pieces.append((after, os.read(ours, 65536)))
    raw = b"".join(piece for _, piece in pieces)
    # Drawn afterwards, for that takes longer than to run.
    screen = Screen(columns, 400)
    stream = pyte.ByteStream(screen)
    seen = {False: {}, True: {}}
    for after, piece in pieces:
        is_then = changed and after >= began_then
        if is_then and screen.columns != then:
            screen.resize(columns=then)
        screen.dirty.clear()
        stream.feed(piece)
        if is_then and after < began_then + 1:
            # Lines of the width before may still be on their way, or be there.
            screen.broken.clear()
            screen.erase_in_display(2)
            continue
        seen[is_then].update(dict.fromkeys(line for line in map(screen.row, screen.dirty) if line))
    colours = [code for code in re.findall(rb"\x1b\[([0-9;]*)m", raw) if code not in (b"", b"0")]
    left = [screen.row(at) for at in range(screen.lines)]
    while left and not left[-1]:
        left.pop()
    found = {"code": process.returncode, "colours": len(colours), "broken": screen.broken}
    print(json.dumps({**found, "seen": list(seen[False]), "seen_then": list(seen[True]), "left": left}))


if __name__ == "__main__":
    main()
