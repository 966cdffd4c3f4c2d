"""Packs a binary of pearlift: an archive with its manual pages and completions, a wheel, and the checksums of both.

    python packaging/bundle.py --binary target/dist/pearlift --out target/packages [--debug pearlift.debug]

The names state what the binary needs from its system, as its symbols show it. Times in the packages are those of
SOURCE_DATE_EPOCH (1980 without it), so that the same binary gives the same bytes. Needs Python 3.9, and no network.
"""

import argparse
import base64
import gzip
import hashlib
import io
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
import zipfile

from elf import glibc

ROOT = pathlib.Path(__file__).resolve().parent.parent
# The first moment that a zip archive can state.
EPOCH = max(int(os.environ.get("SOURCE_DATE_EPOCH", 0)), 315532800)
SHELLS = {"bash": "bash-completion/completions/pearlift", "zsh": "zsh/site-functions/_pearlift",
          "fish": "fish/vendor_completions.d/pearlift.fish"}
TEXTS = ["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"]


def release(binary):
    """The release that a binary states, which is that of Cargo.toml."""
    said = run(binary, "--version").splitlines()[0]
    stated = re.search(r'^version = "(.+?)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE).group(1)
    if said != f"pearlift {stated}":
        raise SystemExit(f"Cargo.toml states {stated}, and the binary says {said}")
    return stated


def run(binary, *arguments):
    environment = {"PATH": os.environ.get("PATH", "")}
    done = subprocess.run([binary, *arguments], check=True, stdout=subprocess.PIPE, env=environment, cwd="/")
    return done.stdout.decode()


def shared(binary, folder):
    """Writes manual pages and completions as they lie below a `share` folder."""
    manual = folder / "man/man1"
    manual.mkdir(parents=True)
    run(binary, "man", str(manual))
    for shell, place in SHELLS.items():
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(run(binary, "completions", shell))


def files_below(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def archive(name, binary, share, out):
    """A tar archive with one folder."""
    target = out / f"{name}.tar.gz"
    members = [("bin/pearlift", binary.read_bytes(), 0o755)]
    members += [(f"share/{path.relative_to(share)}", path.read_bytes(), 0o644) for path in files_below(share)]
    members += [(text, (ROOT / text).read_bytes(), 0o644) for text in TEXTS]
    with target.open("wb") as raw, gzip.GzipFile("", "wb", mtime=EPOCH, fileobj=raw) as packed:
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for path, data, mode in members:
                member = tarfile.TarInfo(f"{name}/{path}")
                member.size, member.mode, member.mtime = len(data), mode, EPOCH
                tar.addfile(member, io.BytesIO(data))
    return target


def metadata(version):
    cargo = (ROOT / "Cargo.toml").read_text()
    summary = re.search(r'^description = "(.+?)"$', cargo, re.MULTILINE).group(1)
    keywords = re.search(r"^keywords = \[(.+?)\]$", cargo, re.MULTILINE).group(1).replace('"', "").replace(", ", ",")
    head = ["Metadata-Version: 2.4", "Name: pearlift", f"Version: {version}", f"Summary: {summary}",
            f"Keywords: {keywords}", "License-Expression: MIT OR Apache-2.0", "License-File: LICENSE-APACHE",
            "License-File: LICENSE-MIT", "Requires-Python: >=3.8", "Description-Content-Type: text/markdown"]
    return "\n".join(head) + "\n\n" + (ROOT / "README.md").read_text()


def wheel(version, tag, binary, share, out):
    """A wheel whose script is the binary; pip puts what is below `data` into the environment."""
    target = out / f"pearlift-{version}-py3-none-{tag}.whl"
    info, data = f"pearlift-{version}.dist-info", f"pearlift-{version}.data"
    tags = "".join(f"Tag: py3-none-{one}\n" for one in tag.split("."))
    described = f"Wheel-Version: 1.0\nGenerator: pearlift packaging\nRoot-Is-Purelib: false\n{tags}"
    members = [(f"{data}/scripts/pearlift", binary.read_bytes(), 0o755)]
    members += [(f"{data}/data/share/{path.relative_to(share)}", path.read_bytes(), 0o644) for path in files_below(share)]
    members += [(f"{info}/licenses/{name}", (ROOT / name).read_bytes(), 0o644) for name in TEXTS if name.startswith("L")]
    members += [(f"{info}/METADATA", metadata(version).encode(), 0o644), (f"{info}/WHEEL", described.encode(), 0o644)]
    record = []
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        for path, content, mode in members:
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            record.append(f"{path},sha256={digest},{len(content)}")
            add(packed, path, content, mode)
        record.append(f"{info}/RECORD,,")
        add(packed, f"{info}/RECORD", ("\n".join(record) + "\n").encode(), 0o644)
    return target


def add(packed, path, content, mode):
    member = zipfile.ZipInfo(path, time.gmtime(EPOCH)[:6])
    member.external_attr = (0o100000 | mode) << 16
    member.compress_type = zipfile.ZIP_DEFLATED
    packed.writestr(member, content)


def names(binary):
    """(name of the archive's platform, tag of the wheel) that the symbols of a binary allow."""
    machine, minor = glibc(binary.read_bytes())
    if minor is None:
        return f"{machine}-linux-static", f"manylinux_2_17_{machine}.musllinux_1_1_{machine}"
    minor = max(minor, 17)
    tag = f"manylinux_2_{minor}_{machine}"
    return f"{machine}-linux-glibc2.{minor}", f"{tag}.manylinux2014_{machine}" if minor == 17 else tag


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of the packages; older ones in it are removed")
    parser.add_argument("--debug", type=pathlib.Path, help="debug information of the binary, packed too")
    arguments = parser.parse_args()
    binary, out = arguments.binary.resolve(), arguments.out
    version, (platform, tag) = release(binary), names(binary)
    out.mkdir(parents=True, exist_ok=True)
    for old in [*out.glob("pearlift-*"), *out.glob("SHA256SUMS")]:
        old.unlink()
    with tempfile.TemporaryDirectory() as folder:
        share = pathlib.Path(folder)
        shared(binary, share)
        name = f"pearlift-{version}-{platform}"
        made = [archive(name, binary, share, out), wheel(version, tag, binary, share, out)]
    if arguments.debug:
        made.append(out / f"{name}.debug.gz")
        with arguments.debug.open("rb") as source, made[-1].open("wb") as raw:
            with gzip.GzipFile("", "wb", mtime=EPOCH, fileobj=raw) as packed:
                shutil.copyfileobj(source, packed)
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in made]
    (out / "SHA256SUMS").write_text("".join(sums))
    print("\n".join(str(path) for path in made))


if __name__ == "__main__":
    main()
