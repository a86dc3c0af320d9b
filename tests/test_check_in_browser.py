"""The look through a browser: each fault that it is there for is noticed, and a sound page has none."""

import pytest
from check_in_browser import VIEWS, look, missing

pytestmark = [pytest.mark.slow, pytest.mark.skipif(missing() != "", reason=missing() or "-")]

SOUND = """<!doctype html><html lang="en"><head><title>A page</title></head><body><main><article><h1>A page</h1>
<p>Words.</p></article></main></body></html>"""


@pytest.fixture(scope="module")
def faults(tmp_path_factory):
    """What is found on a sound page, and on pages with a fault each."""
    harms = {
        "sound": "",
        "pale": '<p style="color: #ccc; background: #fff">Words.</p>',
        "heading": "<table><thead><tr><th></th></tr></thead><tbody><tr><td>1</td></tr></tbody></table>",
        "cut": '<div style="width: 100px; overflow-x: auto" tabindex="0"><div style="width: 300px">1</div></div>',
        "wide": '<div style="width: 2000px">1</div>',
        "script": "<script>nothing.at.all;</script>",
        "network": '<img alt="a" src="https://example.org/a.png">',
    }
    folder = tmp_path_factory.mktemp("pages")
    for name, harm in harms.items():
        (folder / f"{name}.html").write_text(SOUND.replace("<p>Words.</p>", f"<p>Words.</p>{harm}"), encoding="utf-8")
    return look(folder, list(harms), seconds=120)


def test_a_sound_page_has_no_faults(faults):
    assert [fault for fault in faults if fault[0] == "sound"] == []


@pytest.mark.parametrize(
    ("page", "fault", "views"),
    [
        ("pale", "color-contrast", len(VIEWS)),
        ("heading", "empty-table-header", len(VIEWS)),
        ("cut", "cut", 2),
        ("wide", "wide", len(VIEWS)),
        ("script", "script", 1),
        ("network", "network", 1),
    ],
)
def test_a_fault_is_noticed_in_every_view_that_has_it(faults, page, fault, views):
    assert sum(found[0] == page and found[2] == fault for found in faults) == views
