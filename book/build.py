"""Builds the pages of this repository into a searchable site and checks each link of it: `make book`.

    python book/build.py --out target/book

The table of contents is docs/README.md: its headings are the sections, its links the pages. Pages stay where they are in
the repository, so that their links are right on any host of Markdown too; a folder that a page links to, and that has no
page of its own, gets one with its files. Addresses outside the book are listed in `external-links.txt` and not opened.
"""

import argparse
import html.parser
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent
# The files of the site, besides the pages of docs/: those that pages link to.
COPIED = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "LICENSE-APACHE", "LICENSE-MIT", "Cargo.toml", "Makefile", "docs",
          "schemas", "examples", "crates/sandbox/fixtures/README.md"]
CONTENTS = "docs/README.md"
LINK = re.compile(r"(?<!\!)\[([^\]]+)\]\(([^)\s]+)\)")
LANGUAGES = {".py": "python", ".toml": "toml", ".yaml": "yaml", ".yml": "yaml", ".sh": "sh", ".sql": "sql", ".rs": "rust"}
SETTINGS = """\
[project]
site_name = "pearlift"
site_description = "Copies a Brightpearl account into Parquet files, nightly, incrementally and completely"
docs_dir = "src"
site_dir = "site"
use_directory_urls = false
extra_css = ["book.css"]
nav = %s

[project.theme]
language = "en"
font = false
features = ["navigation.sections", "navigation.top", "navigation.footer", "content.code.copy", "search.highlight"]

[[project.theme.palette]]
scheme = "default"
toggle.icon = "lucide/moon"
toggle.name = "Dark"

[[project.theme.palette]]
scheme = "slate"
toggle.icon = "lucide/sun"
toggle.name = "Light"

[project.plugins.search]

[project.markdown_extensions.attr_list]
[project.markdown_extensions.md_in_html]
[project.markdown_extensions.tables]
[project.markdown_extensions.toc]
permalink = true
slugify = { object = "pymdownx.slugs.slugify", kwds = { case = "lower" } }
[project.markdown_extensions.pymdownx.highlight]
[project.markdown_extensions.pymdownx.superfences]
"""


def contents():
    """The sections of the table of contents: [(heading, [(title, path from the root)])]."""
    sections, folder = [], (ROOT / CONTENTS).parent
    for line in (ROOT / CONTENTS).read_text().splitlines():
        if line.startswith("## "):
            sections.append((line[3:], []))
        elif line.startswith("- ") and sections:
            title, link = LINK.search(line).groups()
            sections[-1][1].append((title, os.path.relpath(folder / link, ROOT)))
    return sections


def navigation():
    """The same as a value of TOML. JSON has the same form, but for the sign between key and value."""
    pages = lambda listed: ", ".join(f"{{{json.dumps(title)} = {json.dumps(path)}}}" for title, path in listed)
    home = [("pearlift", "README.md"), ("Contents", CONTENTS)]
    parts = [pages(home)] + [f"{{{json.dumps(heading)} = [{pages(listed)}]}}" for heading, listed in contents()]
    return f"[{', '.join(parts)}]"


def copy(source):
    for name in COPIED:
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, target)


def listing(folder):
    """A page about a folder: the content of its files, one heading each, and links to its folders."""
    lines = [f"# {folder.name}", ""]
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            lines += [f"- [{path.name}/]({path.name}/README.md)"]
        elif path.suffix == ".md":
            lines += [f"- [{path.name}]({path.name})"]
        else:
            lines += ["", f"## {path.name}", "", f"````{LANGUAGES.get(path.suffix, 'text')}", path.read_text().rstrip(), "````", ""]
    return "\n".join(lines) + "\n"


def complete(source):
    """Gives each folder below `examples` and `docs` a page, and leads links to folders, and to files that are not copied, to one."""
    for folder in sorted(path for path in source.rglob("*") if path.is_dir()):
        if not (folder / "README.md").exists() and not folder.is_relative_to(source / "crates"):
            (folder / "README.md").write_text(listing(folder))
    for page in source.rglob("*.md"):
        def lead(match):
            title, link = match.groups()
            path, _, anchor = link.partition("#")
            if path and "://" not in path and (page.parent / path).is_dir():
                return f"[{title}]({path.rstrip('/')}/README.md{'#' * bool(anchor)}{anchor})"
            return match.group()
        text = page.read_text()
        blocks = re.split(r"(^```.*?^```)", text, flags=re.MULTILINE | re.DOTALL)
        page.write_text("".join(block if block.startswith("```") else LINK.sub(lead, block) for block in blocks))


class Page(html.parser.HTMLParser):
    """The links, the anchors and the loaded files of a page of the site."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.loaded = set(), [], []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.anchors.update(value for value in (values.get("id"), values.get("name") if tag == "a" else None) if value)
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        self.loaded += [values[key] for key in ("src", "data") if values.get(key)]
        if tag == "link" and values.get("rel") in ("stylesheet", "icon", "preload") and values.get("href"):
            self.loaded.append(values["href"])


def check(site):
    """(faults, addresses outside, pages) of the site."""
    pages = {path: Page(path) for path in site.rglob("*.html")}
    faults, outside = [], {}
    for path, page in pages.items():
        for link in page.links + page.loaded:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme in ("data", "mailto", "javascript"):
                continue
            if parts.scheme or parts.netloc:
                if link in page.loaded:
                    faults.append(f"{path.relative_to(site)} loads {link}")
                outside.setdefault(link, path.relative_to(site))
                continue
            target = path if not parts.path else site / parts.path.lstrip("/") if parts.path.startswith("/") else path.parent / urllib.parse.unquote(parts.path)
            target = pathlib.Path(os.path.normpath(target))
            target = target / "index.html" if target.is_dir() else target
            anchor = urllib.parse.unquote(parts.fragment)
            if not target.is_file():
                faults.append(f"{path.relative_to(site)}: {link} does not exist")
            elif anchor and target in pages and anchor not in pages[target].anchors and not anchor.startswith("__"):
                faults.append(f"{path.relative_to(site)}: {link} has no such heading")
    return faults, outside, pages


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, required=True)
    out = parser.parse_args().out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    source = out / "src"
    copy(source)
    complete(source)
    shutil.copy(ROOT / "book/book.css", source)
    (out / "zensical.toml").write_text(SETTINGS % navigation())
    environment = {**os.environ, "NO_COLOR": "1"}
    tool = pathlib.Path(sys.executable).parent / "zensical"
    built = subprocess.run([tool, "build", "--clean", "--strict"], cwd=out, env=environment)
    if built.returncode:
        raise SystemExit("fault: the book cannot be built")
    site = out / "site"
    faults, outside, pages = check(site)
    named = {path for _, listed in contents() for _, path in listed}
    unnamed = [str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md")]
    unnamed = [page for page in unnamed if page not in named and page != CONTENTS and "/decisions/" not in page and "/reference/" not in page
               and "/engines/" not in page]
    faults += [f"{CONTENTS} does not name {page}" for page in unnamed]
    found = {item["location"].partition("#")[0] for item in json.loads((site / "search.json").read_text())["items"]}
    faults += [f"the search does not find {path}" for path in sorted(named) if pathlib.Path(path).name != "README.md"
               and path.replace(".md", ".html") not in found]
    (out / "external-links.txt").write_text("".join(f"{link}  ({page})\n" for link, page in sorted(outside.items())))
    if faults:
        raise SystemExit("\n".join(["fault:", *sorted(set(faults))]))
    print(f"{len(pages)} pages in {site}: each link of the book leads to a page and a heading")
    print(f"{len(outside)} addresses outside it, not opened: {out / 'external-links.txt'}")
    print(f"python3 -m http.server --bind 127.0.0.1 --directory {site} serves it; its search needs a server")


if __name__ == "__main__":
    main()
