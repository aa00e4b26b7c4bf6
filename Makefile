# What a person types. `make test` is everything that CI checks.

CARGO ?= cargo

# The parts of `test` run in their order under -j, too.
.NOTPARALLEL:
.PHONY: run build test fmt check bench clients deny advisories

run: ## build, fetch the engine library if it is not here yet, and serve
	$(CARGO) run --release --locked -- serve

build:
	$(CARGO) build --release --locked

# The tests come last, so that the end of the output says which passed.
test: check deny clients ## everything that CI checks
	LAPWING_TEST_CLIENTS=$$(command -v go >/dev/null && echo required) $(CARGO) test --locked

check: ## formatting and lints, warnings denied
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

fmt: ## format the sources
	$(CARGO) fmt

bench: ## nanoseconds per span of each stage, beside its floor
	$(CARGO) bench --locked

clients: ## the SDKs and exporters that the end-to-end tests run, below target/
	tests/clients/setup.sh

deny: ## licences, sources and versions of the dependencies
	$(CARGO) deny --locked check bans licenses sources

# Not part of `make test`: it fetches a list that changes daily, so the same commit could pass today and fail tomorrow.
advisories: ## known vulnerabilities of the dependencies
	$(CARGO) deny --locked check advisories
