# pearlift: `make demo` to see it, `make test` to try it, `make check` for everything that CI wants.

CARGO ?= cargo
PYTHON ?= python3
VENV := .venv
READERS := .venv-readers
MODELS := .venv-models
DELTA := .venv-delta
AZURITE := .npm-azurite
DIST := .venv-dist
BOOK := .venv-book
# The folder into which cargo builds.
TARGET := $(or $(CARGO_TARGET_DIR),./target)
# The system that a distributed binary is for: any with this glibc or a later one. 2.17 is of 2012.
GLIBC := 17
MACHINE := $(shell uname -m)
BUILT := $(TARGET)/$(MACHINE)-unknown-linux-gnu/dist
# The whole suite is worth some optimisation of pearlift itself; for a single test, plain `cargo test` compiles twice as fast.
export SUITE := --config profile.dev.package.pearlift.opt-level=1 --config profile.dev.package.pearlift-sandbox.opt-level=1

.PHONY: demo dist book test check lint bench night growth fuzz churn trust soak clocks readers models delta browser azure clean

# An account that runs on this machine, exported to ./pearlift-demo.
demo:
	$(CARGO) build --profile demo
	$(TARGET)/demo/pearlift demo

# The packages to hand on, in target/packages: an archive with the binary, its manual pages and completions; a wheel; the debug
# information; SHA256SUMS. Each is then installed and run. The binary runs on any Linux with glibc 2.17. Some 20 minutes.
dist: $(DIST)/ready
	BUILD_COMMIT=$$(git describe --always --dirty --abbrev=12 --exclude '*' 2> /dev/null) PATH="$(CURDIR)/$(DIST)/bin:$$PATH" \
		$(CARGO) zigbuild --profile dist --target $(MACHINE)-unknown-linux-gnu.2.$(GLIBC)
	objcopy --only-keep-debug $(BUILT)/pearlift $(TARGET)/pearlift.debug
	objcopy --strip-all --add-gnu-debuglink=$(TARGET)/pearlift.debug $(BUILT)/pearlift $(TARGET)/pearlift
	$(DIST)/bin/python packaging/bundle.py --binary $(TARGET)/pearlift --debug $(TARGET)/pearlift.debug --out $(TARGET)/packages
	$(DIST)/bin/python packaging/check.py $(TARGET)/packages --glibc $(GLIBC)

$(DIST)/ready: packaging/requirements.txt
	$(PYTHON) -m venv $(DIST)
	$(DIST)/bin/pip install --quiet --disable-pip-version-check -r packaging/requirements.txt
	touch $@

# The pages of the documentation as a site with a search, in target/book/site; each link of it is checked. Needs Python 3.11.
book: $(BOOK)/ready
	$(BOOK)/bin/python book/build.py --out $(TARGET)/book

$(BOOK)/ready: book/requirements.txt
	$(PYTHON) -m venv $(BOOK)
	$(BOOK)/bin/pip install --quiet --disable-pip-version-check -r book/requirements.txt
	touch $@

# Everything that the tests need, then the tests. They wait much: more of them than cores run at a time. Their folders are in
# memory where the system has 8 GB for it, since they synchronise tens of thousands of files. All is compiled before anything is
# tested, so that no core waits for a single crate.
THREADS ?= 4
export FOLDERS := $(shell df -Pk /dev/shm 2> /dev/null | awk 'NR == 2 && $$4 > 8000000 { print "/dev/shm" }')
test: $(VENV)/ready
	$(CARGO) test $(SUITE) --workspace --lib --bins --test it --no-run
	$(CARGO) test $(SUITE) --workspace --doc
	folders=$$(mktemp -d "$${FOLDERS:-$${TMPDIR:-/tmp}}/pearlift-tests.XXXXXX") && trap 'rm -rf "$$folders"' EXIT && \
		TMPDIR="$$folders" $(CARGO) test $(SUITE) --workspace --lib --bins --test it -- --test-threads=$(THREADS)

# Formatting, lints, docs; then the tests.
check: lint test

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items
	@if ! command -v cargo-deny > /dev/null; then \
		echo "cargo-deny is not installed: advisories were not checked; licences and sources are, by the tests"; \
	elif cargo deny fetch db; then \
		cargo deny check; \
	else \
		cargo deny check bans licenses sources && echo "the database of advisories cannot be had: they were not checked"; \
	fi

# Measures memory and speed of a large export; minutes.
bench:
	$(CARGO) build --release
	$(PYTHON) benches/export.py

# Plans and makes the first load of a large account, and a night; minutes.
night:
	$(CARGO) build --release
	$(PYTHON) benches/night.py

# Sixty nights of a small account and one of a large one, in a folder and in a bucket: what they cost, and that it does not
# grow; some ten minutes. GROWTH="--nights 20 --large 0 --places folder" chooses a part.
growth: $(VENV)/ready
	$(CARGO) build --release
	$(PYTHON) benches/growth.py $(GROWTH)

# Kills runs at random moments, in a folder and in a bucket; SOAK_KILLS says how often, SOAK_SEED repeats the choices.
soak: $(VENV)/ready
	SOAK_KILLS=$${SOAK_KILLS:-500} $(CARGO) test --test it -- kill:: --nocapture
	PROPTEST_CASES=$${SOAK_SEQUENCES:-100} $(CARGO) test --test it -- sequences:: --nocapture
	$(CARGO) test --test it -- --ignored forget:: --nocapture

# Spoils the examples of fuzz/corpus/TARGET for SECONDS, with libFuzzer on stable Rust; needs a C++ compiler. What it finds is
# left in fuzz/found/. The coverage flags are those of cargo-fuzz; no sanitizer, for there is no unsafe code of ours.
TARGET ?= pages
SECONDS ?= 600
FUZZ_FLAGS := -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
	-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1
HOST := $(shell rustc -vV | sed -n 's/^host: //p')
fuzz:
	RUSTFLAGS="$(FUZZ_FLAGS)" $(CARGO) build --profile fuzz --package pearlift-fuzz --features libfuzzer --target $(HOST) \
		--target-dir fuzz/target
	mkdir -p fuzz/found/$(TARGET) fuzz/target/corpus/$(TARGET)
	FUZZ_TARGET=$(TARGET) fuzz/target/$(HOST)/fuzz/pearlift-fuzz -max_total_time=$(SECONDS) -timeout=10 -rss_limit_mb=2048 \
		-max_len=8192 -artifact_prefix=fuzz/found/$(TARGET)/ fuzz/target/corpus/$(TARGET) fuzz/corpus/$(TARGET)

# An account that changes while it is read, for many seeds; an hour. PEARLIFT_CHURN=7 or 100-400 chooses them.
churn: $(VENV)/ready
	$(CARGO) test --test it -- --ignored --exact churn::many --nocapture

# The tests that depend on time, while the machine's clock is shifted to awkward moments in several zones; half an hour. Needs
# libfaketime. TESTS="clocks:: plan::" chooses them.
clocks: $(VENV)/ready
	tests/clocks.sh $(TESTS)

# A single wrong answer at a random request of any command, for many seeds; half an hour. PEARLIFT_TRUST=7 or 100-400 chooses them.
trust: $(VENV)/ready
	$(CARGO) test --test it -- --ignored --exact trust::many --nocapture

# What Spark, DataFusion and ClickHouse see in the tables, against DuckDB, the example for Spark, and the scripts of `pearlift
# sql`; minutes. Needs Java, and some 1.6 GB for READERS.
readers: $(VENV)/ready
	@java -version > /dev/null 2>&1 || { echo "java is missing: Spark needs it, 17 or later"; exit 1; }
	$(MAKE) $(READERS)/ready
	$(CARGO) test --test it -- --ignored readers:: sql_engines:: --nocapture

# What deltalake, Polars, DuckDB and ClickHouse see through the logs of the layout `delta`, in a folder and in a bucket, while a run
# writes; minutes. Some 1.3 GB for DELTA.
delta: $(VENV)/ready $(DELTA)/ready
	$(CARGO) test --test it -- --ignored --exact \
		delta::four_engines_see_whole_versions_in_a_folder_and_in_a_bucket_while_a_run_writes --nocapture

# A person allows an OAuth login on the page of the simulated account, and denies one, in headless Chromium. Needs chromium and chromedriver.
browser:
	@chromedriver --version > /dev/null 2>&1 || { echo "chromedriver is missing: on Debian, the package chromium-driver"; exit 1; }
	$(CARGO) test --test it -- --ignored --exact login::a_person_allows_the_login_in_a_browser --nocapture

# The promises of a bucket in a container of Azurite, an emulator of Azure Blob Storage from npm; minutes. Needs Node.js, and some
# 360 MB for AZURITE.
azure: $(VENV)/ready
	@npm --version > /dev/null 2>&1 || { echo "npm is missing: Azurite needs it, with Node.js 20 or later"; exit 1; }
	$(MAKE) $(AZURITE)/ready
	$(CARGO) test --test it -- --ignored azure:: --nocapture

$(AZURITE)/ready: tests/requirements-azure.txt
	mkdir -p $(AZURITE)
	npm install --prefix $(AZURITE) --no-audit --no-fund --loglevel=error $$(cat tests/requirements-azure.txt)
	touch $@

$(DELTA)/ready: tests/requirements-delta.txt
	$(PYTHON) -m venv $(DELTA)
	$(DELTA)/bin/pip install --quiet --disable-pip-version-check -r tests/requirements-delta.txt
	touch $@

$(READERS)/ready: tests/requirements-readers.txt
	$(PYTHON) -m venv $(READERS)
	$(READERS)/bin/pip install --quiet --disable-pip-version-check -r tests/requirements-readers.txt
	touch $@

# The dbt project of examples/dbt over a demo: it passes, and fails where a line of a journal is gone; minutes.
models: $(MODELS)/ready
	$(CARGO) build --profile demo
	$(MODELS)/bin/python tests/examples/build_models.py --pearlift $(TARGET)/demo/pearlift

$(MODELS)/ready: tests/requirements-models.txt
	$(PYTHON) -m venv $(MODELS)
	$(MODELS)/bin/pip install --quiet --disable-pip-version-check -r tests/requirements-models.txt
	touch $@

# Readers of Parquet and an S3 server, from PyPI.
$(VENV)/ready: tests/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	touch $@

clean:
	$(CARGO) clean
	rm -rf $(VENV) $(READERS) $(MODELS) $(DELTA) $(AZURITE) $(DIST) $(BOOK) pearlift-demo
