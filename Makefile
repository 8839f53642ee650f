# Everything a day needs. Variables: RUNTIME=auto|docker|netns, SYSTEM (default: what the topology names), HARNESS_CLUSTER, PYTHON (for the environment).
.DEFAULT_GOAL := help
PYTHON ?= python3
RUNTIME ?= auto
HARNESS_CLUSTER ?= main
BIN := .venv/bin
STAMP := .venv/.made-from
export RUNTIME SYSTEM HARNESS_CLUSTER
# Some machines forbid Python to keep what it compiled: then each of thousands of processes compiles it anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test test-unit test-processes test-root test-docker test-vm test-browser test-libp2p test-nats ci lint check fmt coverage evidence evidence-sabotage evidence-clean evidence-shrink evidence-bugs evidence-leaks evidence-liars evidence-soak evidence-replay evidence-generated evidence-systems evidence-clean-room evidence-compare evidence-trends bench bench-cluster bench-judge bench-load bench-up bench-micro bench-faults bench-project lint-workflows lint-compose ci-pull-request ci-release nightly down clean wheel constraints

help:  ## Show what can be made
	@grep -hE '^[a-zA-Z0-9_ -]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{n = split($$1, names, " "); for (i = 1; i <= n; i++) printf "  make %-16s %s\n", names[i], $$2}'

setup: $(STAMP)  ## Make .venv with the harness, meshnode and the test tools in it

$(STAMP): pyproject.toml docker/meshnode/pyproject.toml constraints.txt
	@scripts/setup "$(PYTHON)"

cluster-10 cluster-100 cluster-1000: cluster-%: setup  ## Start a cluster of so many nodes in the background
	@scripts/cluster $@

cluster-%: setup
	@scripts/cluster $@

soak-%: setup  ## Load for DURATION (default 8h) on a cluster, judged while it runs: soak-10, or soak-100 on topologies/cluster-100.toml
	@scripts/soak $@ $(or $(DURATION),8h)

down: setup  ## Take the cluster down
	@$(BIN)/harness down

demo: setup  ## Start 100 nodes, drive message + broadcast + DHT load for 60 s, print the verdict, leave nothing behind
	@$(BIN)/harness run demo --cluster demo --runtime $(RUNTIME)

test: setup  ## Run all tests that this machine can run, in lanes (HARNESS_REQUIRE_ALL=1: what is missing is an error)
	@$(BIN)/python scripts/test.py all

test-unit: setup  ## Tests that need no root: seconds
	@$(BIN)/python -m pytest tests/unit tests/test_architecture.py

test-processes: setup  ## Tests of real processes that need no root: a minute
	@$(BIN)/python -m pytest tests/processes

test-root: setup  ## Tests on real namespaces
	@$(BIN)/python -m pytest tests/root

test-docker: setup  ## Tests on a real engine
	@$(BIN)/python -m pytest tests/docker

test-vm: setup  ## Tests of netem in a machine of its own (QEMU, a stock kernel; about a minute)
	@$(BIN)/harness machine -- $(CURDIR)/$(BIN)/python -m pytest tests/vm -p no:cacheprovider

test-browser: setup  ## Tests in a real browser
	@$(BIN)/python -m pytest tests/browser

ci: setup  ## All that CI plays: lint, all tests, a night of five minutes (.ci/run)
	@$(BIN)/python scripts/test.py ci

test-libp2p: setup  ## The system libp2p: its crate's tests, and a run on namespaces (builds it first: minutes; no other command does)
	@cargo test --release --locked --manifest-path docker/libp2p/Cargo.toml
	@$(BIN)/python -m pytest tests/built/test_libp2p.py

test-nats: setup  ## The system nats: a run on namespaces (builds nats-server first where it is not on PATH: minutes; no other command does)
	@$(BIN)/python -m pytest tests/built/test_nats.py

lint: setup  ## ruff (rules and format) and mypy --strict
	@scripts/lint

lint-workflows:  ## actionlint over .github/workflows (on PATH, or built with Go)
	@scripts/lint_workflows

lint-compose:  ## The Compose file of the monitoring, as Compose reads it (built with Go)
	@scripts/lint_compose >/dev/null

ci-pull-request: setup  ## What a pull request is told: the gate pull-request; base and head in turns, compared (BASE=origin/main; a quarter of an hour)
	@$(BIN)/python scripts/ci_pull_request.py $(BASE)

ci-release: wheel  ## Try the wheels in an empty environment, and the project's own gate
	@scripts/ci_release

nightly: setup  ## Soak, large scenarios, all gates: one exit code, JUnit, one page (DURATION=8h; 5m for a try)
	@$(BIN)/harness gate nightly --runtime $(RUNTIME) --for $(or $(DURATION),8h)

check: setup  ## The one command before a commit: lint, types, unit tests, architecture
	@$(BIN)/python scripts/test.py check

fmt: setup  ## Format, sort imports, mend what ruff can mend
	@scripts/fmt

coverage: setup  ## Branch coverage of the tests without an engine, a browser and a machine
	@scripts/coverage

evidence: setup  ## Long repeats: 20 kills a runtime, 1000 puts, hops over 10/100/1000, every scenario, 30 generated ones, 1000 network states, every sabotage, 100 seeded ones, 500 damaged run folders (three hours)
	@scripts/evidence

evidence-sabotage: setup  ## A hundred seeded changes to the hub, nodes and helpers under faults (45 minutes a time; goes on where it stopped)
	@$(BIN)/python scripts/evidence_sabotage.py

evidence-clean: setup  ## Ten runs of every shipped scenario on a quiet host (45 minutes a time; goes on where it stopped; BUSY=1: beside busy processes)
	@$(BIN)/python scripts/evidence_clean.py $(if $(BUSY),--busy)

evidence-shrink: setup  ## A scenario of twelve faults made small, one that always fails and one that does in one run of three (75 minutes; goes on where it stopped)
	@$(BIN)/python scripts/evidence_shrink.py

evidence-bugs: setup  ## Each planted bug under the scenario that finds it, and the clean node with ten seeds (45 minutes at most; goes on where it stopped)
	@$(BIN)/python scripts/evidence_bugs.py

evidence-leaks: setup  ## Three leaks planted in one of ten nodes each, and ten clean ones, for 20 minutes; 160 soaks drawn from them (50 minutes)
	@$(BIN)/python scripts/evidence_leaks.py

evidence-liars: setup  ## Each lie of the lying node, through a command file and a class: which finding names it (15 minutes; goes on where it stopped)
	@$(BIN)/python scripts/evidence_liars.py
evidence-soak: setup  ## A soak of two hours with a leak in each of three nodes, and ten clean ones of ten minutes (four hours; goes on where it stopped)
	@$(BIN)/python scripts/evidence_soak.py

evidence-generated: setup  ## Thirty scenarios that nobody wrote, played on ten nodes: healthy afterwards, and nothing left (45 minutes at most; goes on where it stopped)
	@$(BIN)/python scripts/evidence_generated.py

evidence-systems: setup  ## OpenDHT, Serf, rust-libp2p, NATS and Redis under a partition, churn and a crash: what was found (45 minutes at most; goes on where it stopped)
	@$(BIN)/python scripts/evidence_systems.py

evidence-clean-room: setup  ## The guide to your own node, typed word by word into an empty folder with our wheels alone: minutes to the first verdict (five minutes)
	@$(BIN)/python scripts/evidence_clean_room.py

evidence-compare: setup  ## Comparisons of a pool of real runs: A/A, nodes that are 25 % and 8 % slower (45 minutes at most a time; goes on where it stopped)
	@$(BIN)/python scripts/evidence_compare.py

evidence-trends: setup  ## A thousand rows that do not change, and slow drifts, as the history looks at them (ten minutes; goes on where it stopped)
	@$(BIN)/python scripts/evidence_trends.py

evidence-replay: setup  ## A partition scenario and a session by hand, each replayed five times from its folder and from a bundle in a fresh clone (45 minutes at most; goes on where it stopped)
	@$(BIN)/python scripts/evidence_replay.py

bench: setup  ## Every benchmark that writes its section of docs/benchmarks.md, one after another
	@$(MAKE) --no-print-directory bench-cluster bench-judge bench-load

bench-cluster: setup  ## Nodes ready, a sample, a cut: each beside what others would use, into docs/benchmarks.md (25 minutes on a quiet machine; Docker, and Compose or Go)
	@$(BIN)/python scripts/bench_cluster.py

bench-up: setup  ## Starting times side by side: netns 100 and 1000, Docker 100 against the bare SDK
	@$(BIN)/python scripts/bench_up.py

bench-micro: setup  ## Micro benchmarks inside the node's image, judged by budgets/micro.toml (two minutes)
	@$(BIN)/python scripts/bench_micro.py

bench-load: setup  ## The load generator beside Locust's FastHttpUser and wrk, and a target that stalls, into docs/benchmarks.md (three minutes; wrk and nginx)
	@$(BIN)/python scripts/bench_load.py

bench-faults: setup  ## Accuracy of every fault by tools that are not ours, into docs/accuracy.md (about ten minutes)
	@$(BIN)/python scripts/bench_faults.py

bench-judge: setup  ## Judging 10 M operations with journals beside polars and pandas, into docs/benchmarks.md (about ten minutes)
	@$(BIN)/python scripts/bench_judge.py

bench-project: setup  ## The project's own rows: wheel, clean set-up, full tests (about 16 minutes; PARTS="setup tests wheel": some of them)
	@$(BIN)/python scripts/bench_project.py $(PARTS)

gate-%: setup  ## Play a gate and say MET, NOT MET or PARTIAL: gate-project, gate-pull-request
	@$(BIN)/harness gate $* --runtime $(RUNTIME)

wheel: setup  ## Build the wheels of harness and meshnode into dist/
	@$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist docker/meshnode .

constraints: setup  ## Pin today's versions (names and versions only)
	@scripts/constraints

clean:  ## Remove environments and caches (never run folders)
	@rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache
