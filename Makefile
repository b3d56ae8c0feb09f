.PHONY: setup demo test lint bench soak requirements clean

setup:          ## what is missing: Debian packages, Docker Engine, .venv
	@scripts/setup

demo:           ## examples/shop at HEAD on the local ECS, and an order in it
	@scripts/demo

test:           ## linters, types, import arrows, then every suite
	@scripts/test

lint: setup     ## the first half of test
	@scripts/lint

bench:          ## the figures, as ratios in one run
	@scripts/bench

soak:           ## 200 rollouts under kills, with real containers and imagined ones; KAIUN_SOAK_SEED repeats one
	@scripts/soak

requirements: setup ## pin anew what pyproject.toml asks for
	@scripts/requirements

clean:          ## what setup and the tests made in this directory (not the local ECS: kaiun local reset)
	rm -rf .venv .cache dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +
