"""The shop's page and what it is painted with."""

from __future__ import annotations

from e2e.world import World
from support.browser import assets_of

BUCKET = "harbour-assets"
PALETTE = "app/assets/stylesheets/_palette.scss"


def page_assets(world: World) -> list[str]:
    return assets_of(f"http://127.0.0.1:{world.web_port}/", world.get())


def objects(world: World) -> set[str]:
    found = world.aws_json("s3api", "list-objects-v2", "--bucket", BUCKET)["Contents"]
    return {row["Key"] for row in found}


def repaint(world: World, colour: str) -> None:
    """Change one SCSS file, so that the name of application.css changes."""
    file = world.shop / PALETTE
    file.write_text(f"{file.read_text()}\nbody {{ outline-color: {colour}; }}\n")
    world.commit(f"Paint it {colour}")
