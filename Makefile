# pearlift: `make demo` to see it, `make test` to try it, `make check` for everything that CI wants.

CARGO ?= cargo
PYTHON ?= python3
VENV := .venv

.PHONY: demo test check lint bench stir clean

# An account that runs on this machine, exported to ./pearlift-demo.
demo:
	$(CARGO) build --release
	./target/release/pearlift demo

# Everything that the tests need, then the tests.
test: $(VENV)/ready
	$(CARGO) test --lib --bins
	$(CARGO) test --doc
	$(CARGO) test --test it

# Formatting, lints, docs; then the tests.
check: lint test

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --document-private-items
	@if command -v cargo-deny > /dev/null; then cargo deny check; else echo "cargo-deny is not installed: licences and advisories were not checked"; fi

# Measures memory and speed of a large export; minutes.
bench:
	$(CARGO) build --release
	$(PYTHON) benches/export.py

# An account that changes while it is read, for many seeds; an hour. PEARLIFT_STIR=7 or 100-400 chooses them.
stir: $(VENV)/ready
	$(CARGO) test --test it -- --ignored --exact stir::many --nocapture

# Readers of Parquet and an S3 server, from PyPI.
$(VENV)/ready: tests/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	touch $@

clean:
	$(CARGO) clean
	rm -rf $(VENV) pearlift-demo
