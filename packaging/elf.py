"""What an ELF binary needs from the system that runs it: libraries, and versions of their symbols.

Takes the bytes of a 64-bit little-endian ELF file. Refuses others with ValueError.
"""

import struct

# The libraries that a binary may need, by PEP 600 and PEP 513; each system with glibc has them.
ALLOWED = {
    "libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libutil.so.1", "libgcc_s.so.1",
    "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1",
}
# A version that is no number: the linker adds it for packed relocations, which glibc reads from 2.36 on.
VERSIONED = {"GLIBC_ABI_DT_RELR": "GLIBC_2.36"}
MACHINES = {0x3E: "x86_64", 0xB7: "aarch64"}
DYNAMIC, VERNEED, NEEDED = 6, 0x6FFFFFFE, 1


def _sections(data):
    offset, = struct.unpack_from("<Q", data, 0x28)
    size, count = struct.unpack_from("<HH", data, 0x3A)
    for place in range(count):
        yield struct.unpack_from("<IIQQQQIIQQ", data, offset + place * size)


def _text(data, at):
    return data[at:data.index(b"\0", at)].decode()


def needs(data):
    """(machine, libraries, {(library, version)}) of a binary."""
    if data[:4] != b"\x7fELF" or data[4] != 2 or data[5] != 1:
        raise ValueError("no 64-bit little-endian ELF file")
    machine, = struct.unpack_from("<H", data, 0x12)
    if machine not in MACHINES:
        raise ValueError(f"unknown machine {machine}")
    sections = list(_sections(data))
    libraries, versions = [], set()
    for _, kind, _, _, offset, size, link, count, _, _ in sections:
        texts = sections[link][4] if link < len(sections) else 0
        if kind == DYNAMIC:
            for at in range(offset, offset + size, 16):
                tag, value = struct.unpack_from("<QQ", data, at)
                if tag == NEEDED:
                    libraries.append(_text(data, texts + value))
        elif kind == VERNEED:
            at = offset
            for _ in range(count):
                _, entries, name, first, following = struct.unpack_from("<HHIII", data, at)
                entry = at + first
                for _ in range(entries):
                    _, _, _, version, after = struct.unpack_from("<IHHII", data, entry)
                    versions.add((_text(data, texts + name), _text(data, texts + version)))
                    entry += after
                at += following
    return MACHINES[machine], libraries, versions


def glibc(data):
    """(machine, minor) of the oldest glibc 2.x that has everything that a binary needs; minor is None where it needs none."""
    machine, libraries, versions = needs(data)
    foreign = sorted(set(libraries) - ALLOWED)
    if foreign:
        raise ValueError(f"libraries that not every system has: {', '.join(foreign)}")
    minors = [minor_of(version) for _, version in versions if version.startswith("GLIBC_")]
    return machine, max(minors, default=None) if libraries else None


def minor_of(version):
    """The minor release of a version of glibc's symbols."""
    number = VERSIONED.get(version, version)[len("GLIBC_2."):].split(".")[0]
    if not number.isdigit():
        raise ValueError(f"{version} is for glibc itself")
    return int(number)
