# zzsync: `make demo` plays the main job, `make test` runs the tests; both install what is missing first.

PREFIX ?= /usr/local
# What a fresh Debian 12 machine with git, make and a Swift toolchain lacks.
PACKAGES = libsqlite3-dev libcurl4-openssl-dev libzstd-dev libzip-dev libexpat1-dev libxlsxwriter-dev \
           sqlite3 python3 python3-openpyxl openssl
# Debian's own interpreter: the one that has openpyxl.
PYTHON = /usr/bin/python3
# One flag set per configuration, or SwiftPM builds everything again.
RELEASE = -c release --static-swift-stdlib
BINARY = .build/release/zzsync

.PHONY: help build demo test test-long bench install packages catalogue-index clean

help:
	@echo "make demo        play one school week with real processes (KEEP=1 leaves them running)"
	@echo "make test        every test with small counts"
	@echo "make test-long   the same with full counts, in named stages"
	@echo "make bench       speed, bytes and storage as ratios to plain SQLite and zstd"
	@echo "make build       release build: $(BINARY)"
	@echo "make install     binary, catalogue and policies below PREFIX ($(PREFIX))"

# Root (or sudo) is needed for this alone, and only when something is missing.
packages:
	@missing=""; for p in $(PACKAGES); do \
	  dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q "install ok installed" || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	  echo "zzsync: installing Debian packages:$$missing"; \
	  if [ "$$(id -u)" = 0 ]; then run=""; elif command -v sudo >/dev/null; then run=sudo; else \
	    echo "zzsync: root is needed to install them; run as root: apt-get install$$missing" >&2; exit 1; fi; \
	  $$run apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$run apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi

build: packages
	swift build $(RELEASE) --product zzsync

demo: build
	$(PYTHON) Tests/demo/demo.py --binary $(BINARY) $(if $(KEEP),--keep)

test: packages
	swift build --build-tests
	ZZSYNC_COUNTS=small swift test --skip-build

test-long: packages
	sh Tests/long.sh

bench: build
	swift build $(RELEASE) --product zzsync-bench
	.build/release/zzsync-bench .build/bench.json

install: build
	install -D -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/zzsync
	mkdir -p $(DESTDIR)$(PREFIX)/share/zzsync/catalogue $(DESTDIR)$(PREFIX)/share/zzsync/conflicts
	cp -R Sources/Shared/Catalogue/forms Sources/Shared/Catalogue/codes $(DESTDIR)$(PREFIX)/share/zzsync/catalogue/
	cp -R conflicts/. $(DESTDIR)$(PREFIX)/share/zzsync/conflicts/

# The list of files that the binary embeds; committed, compared by a test.
catalogue-index:
	sh Sources/Shared/Catalogue/index.sh

clean:
	rm -rf .build
