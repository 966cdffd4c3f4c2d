"""Installs each package of a folder as its users do, and runs what it installed.

    python packaging/check.py target/packages [--glibc 17]

Compares the checksums, unpacks the archive, installs the wheel into a new virtual environment without an index, and
exports a demo with both. `--glibc N` also demands that the binary needs at most glibc 2.N. Ends with 1 at the first fault.
"""

import argparse
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv

from elf import needs, glibc


def demand(holds, fault):
    if not holds:
        raise SystemExit(f"fault: {fault}")


def run(*words, folder, path=""):
    environment = {"PATH": path or os.environ["PATH"], "HOME": str(folder)}
    done = subprocess.run([str(word) for word in words], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    said = done.stdout.decode(), done.stderr.decode()
    demand(done.returncode == 0, f"{' '.join(map(str, words))} ended with {done.returncode}:\n{said[0]}{said[1]}")
    return said[0]


def try_program(program, folder):
    """States its version and exports a demo, with nothing else on the path."""
    lines = run(program, "--version", folder=folder, path="/nonexistent").splitlines()
    demand(lines[0].startswith("pearlift ") and len(lines) == 4, lines)
    run(program, "demo", "--orders", "50", folder=folder, path="/nonexistent")
    tables = list((folder / "pearlift-demo/order").rglob("*.parquet"))
    demand(tables and all(table.stat().st_size > 0 for table in tables), "the demo has no orders")
    return lines


def check_share(share, folder):
    """Manual pages and completions: read by the programs that they are for, where these are installed."""
    pages = sorted((share / "man/man1").glob("pearlift*.1"))
    demand(len(pages) > 15, f"{len(pages)} manual pages")
    demand(all(page.read_text().count(".SH") > 4 for page in pages), "a manual page has no sections")
    for page in pages if shutil.which("groff") else []:
        done = subprocess.run(["groff", "-man", "-ww", "-z", "-Tutf8", "-K", "utf8", page], stderr=subprocess.PIPE)
        demand(done.returncode == 0 and not done.stderr, f"groff about {page.name}: {done.stderr.decode()}")
    bash = share / "bash-completion/completions/pearlift"
    script = f"source {bash}; COMP_WORDS=(pearlift run goods_m); COMP_CWORD=2; _pearlift pearlift goods_m run; echo ${{COMPREPLY[@]}}"
    demand(run("bash", "-c", script, folder=folder).split() == ["goods_movement"], "bash completes no resource")
    for place, text in [("zsh/site-functions/_pearlift", "#compdef pearlift"), ("fish/vendor_completions.d/pearlift.fish", "complete -c pearlift")]:
        demand(text in (share / place).read_text(), place)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--glibc", type=int, help="the newest minor release of glibc 2 that the binary may need")
    arguments = parser.parse_args()
    packages = arguments.folder.resolve()
    for line in (packages / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        demand(hashlib.sha256((packages / name).read_bytes()).hexdigest() == digest, f"the checksum of {name} differs")
    archive, = packages.glob("*.tar.gz")
    wheel, = packages.glob("*.whl")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        unpacked, environment, first, second = (folder / name for name in ["unpacked", "environment", "first", "second"])
        first.mkdir(), second.mkdir()
        with tarfile.open(archive) as tar:
            tar.extractall(unpacked)
        home, = unpacked.iterdir()
        data = (home / "bin/pearlift").read_bytes()
        machine, minor = glibc(data)
        demand(arguments.glibc is None or minor is None or minor <= arguments.glibc, f"the binary needs glibc 2.{minor}")
        lines = try_program(home / "bin/pearlift", first)
        check_share(home / "share", folder)
        venv.create(environment, with_pip=True)
        run(environment / "bin/python", "-m", "pip", "install", "--quiet", "--no-index", "--disable-pip-version-check", wheel, folder=folder)
        demand((environment / "bin/pearlift").read_bytes() == data, "the wheel has another binary")
        demand(try_program(environment / "bin/pearlift", second) == lines, "the wheel has another version")
        check_share(environment / "share", folder)
        run(environment / "bin/python", "-m", "pip", "uninstall", "--quiet", "--yes", "pearlift", folder=folder)
        demand(not (environment / "bin/pearlift").exists(), "the binary stays after pip uninstall")
    print(f"{archive.name} and {wheel.name}: installed and run on {machine}; the binary needs "
          f"{'no library' if minor is None else f'glibc 2.{minor} or later'} and {', '.join(needs(data)[1]) or 'nothing else'}")
    print("\n".join(lines))


if __name__ == "__main__":
    sys.exit(main())
