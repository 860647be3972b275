"""Whatever is answered says which version it is of, how to cite it and, where its bytes are known before they are
sent, their SHA-256."""

import base64
import hashlib
import subprocess

import pytest
import requests

from conftest import ROOT, Server, binary


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cited")
    table = folder / "buoys.csv"
    table.write_text("time,latitude,longitude,wave_height\n2020-01-01T00:00:00Z,10,20,1.5\n2020-01-02T00:00:00Z,11,21,2.5\n")
    for name, file in {"ncep": ROOT / "assets/demo/ncep-climatology.nc", "buoys": table}.items():
        subprocess.run([binary(), "ingest", file, "--collection", name, "--data", folder / "data"], check=True, capture_output=True)
    s = Server(folder / "data")
    yield s
    s.stop()


BOX = "version=1.3.0&crs=CRS:84&bbox=0,0,90,90&width=32&height=32"
PICTURES = {
    "tile": "/api/collections/ncep/map/tiles/WebMercatorQuad/1/0/1",
    "tile as WebP": "/api/collections/ncep/map/tiles/WebMercatorQuad/1/0/1.webp",
    "map": "/api/collections/ncep/map?width=64",
    "preview": "/api/collections/ncep/preview.png",
    "GetMap": f"/api/wms?service=WMS&request=GetMap&layers=ncep/air&styles=&format=image/png&{BOX}",
    "GetFeatureInfo": f"/api/wms?service=WMS&request=GetFeatureInfo&query_layers=ncep/air&layers=ncep/air&i=3&j=3&{BOX}",
    "GetTile": "/api/wmts?service=WMTS&request=GetTile&layer=ncep/air&tilematrixset=WebMercatorQuad&tilematrix=1&tilerow=0&tilecol=1",
}


def assert_cited(served, name, answer):
    about = requests.get(f"{served.url}/api/collections/{name}", timeout=30).json()
    assert answer.status_code == 200, answer.text
    assert answer.headers["graticule-version"] == about["version"]
    cited = answer.headers["graticule-citation"]
    assert about["title"] in cited and about["version"] in cited
    links = {link["rel"]: link["url"] for link in requests.utils.parse_header_links(answer.headers["link"])}
    href = f"{served.url}/api/collections/{name}"
    assert links["collection"] == href
    assert links["cite-as"] == href or links["cite-as"].startswith("https://doi.org/10.")


@pytest.mark.parametrize("path", PICTURES.values(), ids=PICTURES.keys())
def test_a_picture_says_how_to_cite_it_and_what_its_bytes_are(served, path):
    # The second is the one that is kept.
    for answer in [requests.get(served.url + path, timeout=30) for _ in range(2)]:
        assert_cited(served, "ncep", answer)
        digest = base64.b64encode(hashlib.sha256(answer.content).digest()).decode()
        if "content-encoding" not in answer.headers:
            assert answer.headers["repr-digest"] == f"sha-256=:{digest}:"
    known = requests.get(served.url + path, headers={"If-None-Match": answer.headers["etag"]}, timeout=30)
    assert known.status_code == 304 and known.headers["graticule-version"] == answer.headers["graticule-version"]


@pytest.mark.parametrize("query", ["", "?f=csv", "?f=csv&wave_height_gt=2"])
def test_rows_say_how_to_cite_them(served, query):
    answer = requests.get(f"{served.url}/api/tables/buoys{query}", timeout=30)
    assert_cited(served, "buoys", answer)
    # They are sent as they are read.
    assert "repr-digest" not in answer.headers
    version = answer.headers["graticule-version"]
    pinned = requests.get(f"{served.url}/api/tables/buoys@{version}{query}", timeout=30)
    assert pinned.headers["graticule-version"] == version and "immutable" in pinned.headers["cache-control"]
