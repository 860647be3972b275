"""Tiles, maps, legends, WMS and WMTS: every pixel against the value that the position query gives under it."""

import io
import json
import math
import subprocess
import urllib.parse

import numpy as np
import pytest
import requests
import xarray as xr
from PIL import Image

from conftest import ROOT, Server, binary, collection_of, sample_data

HALF_M = 20037508.342789244
NAMES = (ROOT / "assets/colormaps/names.txt").read_text().split()
TABLES = np.frombuffer((ROOT / "assets/colormaps/colormaps.bin").read_bytes(), "u1").reshape(-1, 256, 3)

# Demo data ship with the project; a cube that wraps around, with levels and two times.
GLOBE = ("globe", "t")


def globe():
    """0.5 degree, from 0 to 359.5 east, poles included: five times, two heights."""
    lat, lon = np.linspace(90, -90, 361), np.arange(720) * 0.5
    la, lo = np.meshgrid(np.radians(lat), np.radians(lon), indexing="ij")
    one = 280 + 25 * np.cos(la) * np.cos(3 * lo) + 6 * np.sin(7 * lo + 5 * la)
    data = np.stack([[one + 2 * t - 30 * z for z in range(2)] for t in range(5)]).astype("f4")
    data[:, :, 100:130, 300:360] = np.nan
    return xr.Dataset(
        {"t": (("time", "height", "lat", "lon"), data, {"standard_name": "air_temperature", "long_name": "Air <temperature> & more", "units": "K"})},
        {
            "time": ("time", np.arange(5), {"units": "days since 2001-02-26", "calendar": "360_day"}),
            "height": ("height", [2.0, 500.0], {"units": "m", "positive": "up", "standard_name": "height"}),
            "lat": ("lat", lat, {"units": "degrees_north"}),
            "lon": ("lon", lon, {"units": "degrees_east"}),
        },
        {"title": "A globe & its poles", "institution": "Nobody <in particular>"},
    )


def healpix(nside=16):
    """Ring order, with a value that is the cell's own number."""
    n = 12 * nside * nside
    attributes = {"grid_mapping_name": "healpix", "healpix_nside": nside, "healpix_order": "ring", "refinement_level": int(math.log2(nside)), "indexing_scheme": "ring"}
    return xr.Dataset(
        {
            "v": (("cell",), np.arange(n, dtype="f4"), {"grid_mapping": "crs", "units": "1"}),
            "crs": ((), np.int32(0), attributes),
        }
    )


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    """A server with made grids, and with those of the sample data that are here."""
    folder = tmp_path_factory.mktemp("maps")
    files = {"ncep": ROOT / "assets/demo/ncep-climatology.nc", "ostia": ROOT / "assets/demo/ostia-sst.nc"}
    for name, made in {"globe": globe(), "healpix": healpix()}.items():
        made.to_netcdf(folder / f"{name}.nc")
        files[name] = folder / f"{name}.nc"
    if sample_data():
        for file in SAMPLES:
            files[collection_of(file)] = sample_data() / file
    for name, file in files.items():
        done = subprocess.run(
            [binary(), "ingest", file, "--collection", name, "--data", folder / "data"], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
    s = Server(folder / "data")
    s.session = requests.Session()
    yield s
    s.stop()


SAMPLES = [
    "netcdf/projected/goes16_cloud_top_height.nc",
    "netcdf/projected/lcc_tas.nc",
    "netcdf/projected/cordex_arc44_tas.nc",
    "netcdf/curvilinear/nemo_20150101.nc",
    "unstructured/lfric_cubesphere_1t.nc",
    "unstructured/fvcom_sfbofs_subset.nc",
    "grib/reduced_gg.grib",
]


def fetch(server, path, status=200, **query):
    answer = server.session.get(server.url + path, params=query)
    assert answer.status_code == status, f"{answer.url}: {answer.status_code} {answer.text[:400]}"
    return answer


def pixels(answer):
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA")).astype(int)


def colours(name, values, low, high):
    """RGBA of values, None for no data: floor(t * 256) held to the table, as matplotlib does."""
    table = TABLES[NAMES.index(name)]
    v = np.array([np.nan if x is None else x for x in values], "f8")
    with np.errstate(invalid="ignore"):
        index = np.clip(np.floor((v - low) / (high - low) * 256), 0, 255)
    out = np.zeros((len(v), 4), int)
    there = np.isfinite(v)
    out[there, :3] = table[index[there].astype(int)]
    out[there, 3] = 255
    return out


def values(server, collection, variable, places, **choice):
    """What a position query says at each place; None for no data and beside the grid."""
    if not places:
        return []
    coords = "MULTIPOINT(" + ",".join(f"({x!r} {y!r})" for x, y in places) + ")"
    query = {"coords": coords, "parameter-name": variable, "f": "CSV", **choice}
    answer = server.session.get(f"{server.url}/api/collections/{collection}/position", params=query)
    if answer.status_code == 400 and "outside the grid" in answer.text:
        if len(places) == 1:
            return [None]
        half = len(places) // 2
        return values(server, collection, variable, places[:half], **choice) + values(
            server, collection, variable, places[half:], **choice
        )
    assert answer.status_code == 200, answer.text
    rows = [r.split(",") for r in answer.text.strip().split("\r\n")[1:]]
    # The first step of every dimension that was not chosen.
    steps = len(rows) // len(places)
    assert len(rows) == steps * len(places)
    cells = [r[-1] for r in rows[::steps]]
    return [float(c) if c else None for c in cells]


def wrap(lon):
    return (lon + 180) % 360 - 180


def mercator(x, y):
    return wrap(x / HALF_M * 180), math.degrees(2 * math.atan(math.exp(y / HALF_M * math.pi)) - math.pi / 2)


def tile_places(z, y, x):
    """Longitude and latitude of the middle of each pixel of a Web Mercator tile."""
    world = 256 * 2**z
    lon = [wrap((x * 256 + i + 0.5) / world * 360 - 180) for i in range(256)]
    lat = [mercator(0, HALF_M * (1 - 2 * (y * 256 + j + 0.5) / world))[1] for j in range(256)]
    return lon, lat


def same_colours(found, expected, doubtful=0):
    """All but so many, which lie on an edge that rounding decides."""
    differ = (found != expected).any(axis=1)
    assert differ.sum() <= doubtful, f"{differ.sum()} of {len(differ)} differ: {found[differ][:5]}, expected {expected[differ][:5]}"


# Collection, variable, tile, colours.
TILES = [
    ("globe", "t", (2, 1, 0), "thermal", (240, 310)),
    ("globe", "t", (3, 3, 7), "viridis", (240, 310)),
    ("globe", "t", (4, 0, 15), "viridis", (240, 310)),
    ("globe", "t", (9, 200, 511), "viridis", (240, 310)),
    ("ostia", "analysed_sst", (6, 20, 30), "viridis", (270, 310)),
    ("ncep", "air", (0, 0, 0), "viridis", (-40, 40)),
    ("healpix", "v", (4, 3, 15), "viridis", (0, 3072)),
    ("healpix", "v", (5, 0, 3), "viridis", (0, 3072)),
]
SAMPLE_TILES = [
    ("goes16_cloud_top_height", "HT", (5, 12, 7), "viridis", (0, 15000)),
    ("lcc_tas", "tas", (7, 44, 68), "viridis", (270, 290)),
    ("cordex_arc44_tas", "tas", (6, 5, 40), "viridis", (240, 290)),
    ("nemo_20150101", "tos", (4, 4, 0), "viridis", (-2, 30)),
    ("nemo_20150101", "tos", (5, 2, 16), "viridis", (-2, 30)),
    ("lfric_cubesphere_1t", "conv_rain", (6, 30, 63), "viridis", (0, 1e-5)),
    ("fvcom_sfbofs_subset", "zeta", (13, 3163, 1308), "viridis", (-1, 1)),
    ("reduced_gg", None, (5, 10, 31), "viridis", (200, 320)),
]
if sample_data():
    TILES += SAMPLE_TILES


@pytest.mark.parametrize("collection,variable,tile,colormap,clim", TILES, ids=lambda v: str(v).replace(" ", ""))
def test_the_pixels_of_a_tile_have_the_colours_of_the_values_under_them(maps, collection, variable, tile, colormap, clim):
    z, y, x = tile
    if variable is None:
        variable = next(iter(fetch(maps, f"/api/collections/{collection}").json()["parameter_names"]))
    answer = fetch(
        maps,
        f"/api/collections/{collection}/map/tiles/WebMercatorQuad/{z}/{y}/{x}",
        variable=variable,
        colormap=colormap,
        clim=",".join(map(str, clim)),
    )
    found = pixels(answer)
    assert found.shape == (256, 256, 4)
    lon, lat = tile_places(z, y, x)
    picked = np.random.default_rng(z * 100 + x).integers(0, 256, (500, 2)).tolist()
    picked += [[0, 0], [0, 255], [255, 0], [255, 255]]
    told = []
    for i in range(0, len(picked), 42):
        told += values(maps, collection, variable, [(lon[c], lat[r]) for r, c in picked[i : i + 42]])
    expected = colours(colormap, told, *clim)
    assert (expected[:, 3] > 0).sum() > 10, "a tile without data compares nothing"
    same_colours(np.array([found[r, c] for r, c in picked]), expected, doubtful=1)


def everywhere(server, collection, variable, places, **choice):
    """Values by lists of a size that a URL holds."""
    told = []
    for i in range(0, len(places), 40):
        told += values(server, collection, variable, places[i : i + 40], **choice)
    return told


# Collection, variable, query of a small picture, the place of a pixel of it.
def plate(west, south, east, north, width, height):
    lon = lambda i: wrap(west + (east - west) * (i + 0.5) / width)
    lat = lambda j: north - (north - south) * (j + 0.5) / height
    box = west, south, (east if east <= 180 else east - 360), north
    query = {"bbox": ",".join(map(str, box)), "width": width, "height": height}
    return query, lambda i, j: (lon(i), lat(j))


def polar(code, half_m, px, to_place):
    step = 2 * half_m / px
    query = {"crs": code, "bbox-crs": code, "bbox": f"{-half_m},{-half_m},{half_m},{half_m}", "width": px, "height": px}
    return query, lambda i, j: to_place(-half_m + (i + 0.5) * step, half_m - (j + 0.5) * step)


def arctic(x, y):
    """EPSG:3995, polar stereographic on WGS 84 true at 71 N, by Snyder's (21-34) to (21-40) and (3-5)."""
    f = 1 / 298.257223563
    e = math.sqrt(2 * f - f * f)
    phi = math.radians(71)
    t = math.tan(math.pi / 4 - phi / 2) / ((1 - e * math.sin(phi)) / (1 + e * math.sin(phi))) ** (e / 2)
    m = math.cos(phi) / math.sqrt(1 - (e * math.sin(phi)) ** 2)
    t = math.hypot(x, y) * t / (6378137 * m)
    chi = math.pi / 2 - 2 * math.atan(t)
    lat = chi
    for _ in range(12):
        s = e * math.sin(lat)
        lat = math.pi / 2 - 2 * math.atan(t * ((1 - s) / (1 + s)) ** (e / 2))
    return math.degrees(math.atan2(x, -y)), math.degrees(lat)


# Pixels no larger than cells, so that the finest level is drawn.
MAPS = [
    ("globe", "t", plate(178, -6, 184.75, 6, 27, 48), 0),
    ("globe", "t", plate(-20, 86, 0, 90, 40, 16), 0),
    ("healpix", "v", plate(170, 60, 190, 90, 20, 30), 0),
    ("globe", "t", polar("EPSG:3995", 400_000, 24, arctic), 1),
]
if sample_data():
    # Of NEMO's grid a few pixels at the rims of cells: pictures have quadrilaterals, queries nearest centres.
    MAPS += [
        ("goes16_cloud_top_height", "HT", plate(-91.9, 34.9, -91.1, 35.3, 24, 12), 0),
        ("nemo_20150101", "tos", plate(170, 60, 190, 72, 30, 24), 4),
        ("nemo_20150101", "tos", polar("EPSG:3995", 500_000, 20, arctic), 4),
        ("lfric_cubesphere_1t", "conv_rain", plate(176, -3, 184, 3, 24, 18), 0),
        ("fvcom_sfbofs_subset", "zeta", plate(-122.51, 37.88, -122.49, 37.9, 24, 24), 0),
    ]


@pytest.mark.parametrize("collection,variable,picture,doubtful", MAPS, ids=lambda v: v if isinstance(v, str) else "")
def test_every_pixel_of_a_small_picture_has_the_colour_of_its_value(maps, collection, variable, picture, doubtful):
    query, place = picture
    legend = fetch(maps, f"/api/collections/{collection}/legend", variable=variable, f="json").json()
    answer = fetch(maps, f"/api/collections/{collection}/map", variable=variable, **query)
    found = pixels(answer)
    height, width = found.shape[:2]
    assert (width, height) == (query["width"], query["height"])
    places = [place(i, j) for j in range(height) for i in range(width)]
    told = everywhere(maps, collection, variable, places)
    expected = colours(legend["colormap"], told, *legend["range"])
    assert (expected[:, 3] > 0).sum() > 10
    same_colours(found.reshape(-1, 4), expected, doubtful)


def test_a_picture_shows_the_step_that_was_chosen(maps):
    query = {"variable": "t", "bbox": "10,10,14,14", "width": 8, "height": 8, "clim": "200,320", "colormap": "viridis"}
    where = [(10 + (i + 0.5) / 2, 14 - (j + 0.5) / 2) for j in range(8) for i in range(8)]
    seen = set()
    for choice in [{}, {"datetime": "2001-02-28"}, {"datetime": "2001-02-30T00:00:00Z", "z": "500"}, {"dim:height": "500"}]:
        found = pixels(fetch(maps, "/api/collections/globe/map", **query, **choice)).reshape(-1, 4)
        full = {"datetime": "2001-02-26", "z": "2", **({"z": "500"} if "dim:height" in choice else {}), **choice}
        full.pop("dim:height", None)
        same_colours(found, colours("viridis", everywhere(maps, "globe", "t", where, **full), 200, 320))
        seen.add(found.tobytes())
    assert len(seen) == 4


def test_tiles_of_all_sets_and_formats_agree_with_a_map_of_their_box(maps):
    sets = fetch(maps, "/api/tileMatrixSets").json()["tileMatrixSets"]
    assert {s["id"] for s in sets} == {"WebMercatorQuad", "WorldCRS84Quad", "UPSArcticWGS84Quad", "UPSAntarcticWGS84Quad"}
    for s in sets:
        tms = fetch(maps, f"/api/tileMatrixSets/{s['id']}").json()
        matrix = tms["tileMatrices"][2]
        side = matrix["cellSize"] * 256
        x0, y0 = matrix["pointOfOrigin"]
        row, column = matrix["matrixHeight"] // 2, matrix["matrixWidth"] // 2
        box = [x0 + column * side, y0 - (row + 1) * side, x0 + (column + 1) * side, y0 - row * side]
        query = {"bbox": ",".join(map(repr, box)), "bbox-crs": tms["crs"], "crs": tms["crs"], "width": 256, "height": 256}
        path = f"/api/collections/globe/map/tiles/{s['id']}/2/{row}/{column}"
        whole = pixels(fetch(maps, "/api/collections/globe/map", **query))
        for tile in (fetch(maps, path), fetch(maps, path, f="webp"), fetch(maps, path + ".png")):
            differ = (pixels(tile) != whole).any(axis=2)
            assert differ.sum() <= 8 and (whole[:, :, 3] > 0).mean() > 0.5, (s["id"], differ.sum())
        assert fetch(maps, path, f="webp").headers["content-type"] == "image/webp"


def test_a_low_zoom_is_drawn_from_a_coarser_level(maps):
    """What the viewer shows there: the mean of the cells under a pixel, not one of them."""
    found = pixels(fetch(maps, "/api/collections/globe/map/tiles/WebMercatorQuad/0/0/0", variable="t", clim="240,310", colormap="viridis"))
    coarse = xr.open_zarr(f"{maps.url}/zarr/globe", group="1", decode_times=False).t[0, 0].values
    assert coarse.shape == (181, 360)
    lon, lat = tile_places(0, 0, 0)
    fine_row = [round((90 - y) / 0.5) for y in lat]
    fine_column = [int(((x % 360) + 0.25) / 0.5) % 720 for x in lon]
    expected = colours("viridis", [coarse[r // 2, c // 2] for r in fine_row for c in fine_column], 240, 310)
    same_colours(found.reshape(-1, 4), expected, 256)


def test_nothing_is_drawn_beside_the_data_and_an_empty_tile_is_always_the_same(maps):
    name, z = ("lcc_tas", 6) if sample_data() else ("ostia", 3)
    if not sample_data():
        pytest.skip("SKIPPED: sample data not found; set GRATICULE_SAMPLE_DATA")
    path = f"/api/collections/{name}/map/tiles/WebMercatorQuad/{z}"
    a, b = fetch(maps, f"{path}/40/2"), fetch(maps, f"{path}/41/3")
    assert a.content == b.content and not pixels(a).any()
    assert len(a.content) < 300


def test_a_picture_has_a_strong_tag_and_a_version_and_is_not_sent_twice(maps):
    path = "/api/collections/ncep/map/tiles/WebMercatorQuad/1/0/1"
    answer = fetch(maps, path)
    tag = answer.headers["etag"]
    assert tag.startswith('"') and answer.headers["cache-control"].startswith("public, max-age=")
    version = fetch(maps, "/api/collections/ncep").json()["version"]
    assert answer.headers["graticule-version"] == version
    again = maps.session.get(maps.url + path, headers={"If-None-Match": tag})
    assert again.status_code == 304 and not again.content
    assert maps.session.head(maps.url + path).headers["content-length"] == str(len(answer.content))


WRONG = [
    ("/api/collections/globe/map/tiles/WebMercatorQuad/25/0/0", {}, 404, "its last is 24"),
    ("/api/collections/globe/map/tiles/WebMercatorQuad/2/4/0", {}, 404, "4 rows and 4 columns"),
    ("/api/collections/globe/map/tiles/WebMercatorQuad/2/a/0", {}, 404, "whole number"),
    ("/api/collections/globe/map/tiles/Nowhere/2/0/0", {}, 404, "WorldCRS84Quad"),
    ("/api/collections/globe/map/tiles/WebMercatorQuad/2/0/0", {"variable": "x"}, 400, "expected one of t"),
    ("/api/collections/globe/map/tiles/WebMercatorQuad/2/0/0", {"colormap": "x"}, 400, "viridis"),
    ("/api/collections/globe/map/tiles/WebMercatorQuad/2/0/0", {"clim": "1"}, 400, "two different numbers"),
    ("/api/collections/globe/map/tiles/WebMercatorQuad/2/0/0", {"datetime": "2020-01-01"}, 400, "calendar 360_day"),
    ("/api/collections/globe/map/tiles/WebMercatorQuad/2/0/0", {"z": "3"}, 400, "2, 500"),
    ("/api/collections/globe/map/tiles/WebMercatorQuad/2/0/0", {"dim:member": "3"}, 400, "no such dimension"),
    ("/api/collections/globe/map/tiles/WebMercatorQuad/2/0/0", {"varible": "t"}, 400, 'did you mean "variable"'),
    ("/api/collections/globe/map/tiles/WebMercatorQuad/2/0/0.gif", {}, 400, "png"),
    ("/api/collections/globe/map/tiles/UPSArcticWGS84Quad/tilejson.json", {}, 404, "Web Mercator"),
    ("/api/collections/globe/map", {"width": "5000"}, 400, "4096"),
    ("/api/collections/globe/map", {"width": "4096", "height": "4096"}, 413, "of one picture"),
    ("/api/collections/globe/map", {"bbox": "0,0,0,10"}, 400, "width and a height"),
    ("/api/collections/globe/map", {"bbox": "0,-91,10,10"}, 400, "between -90 and 90"),
    ("/api/collections/globe/map", {"crs": "EPSG:27700"}, 400, "EPSG:3857"),
    ("/api/collections/globe/map", {"bbox-crs": "EPSG:3031", "bbox": "0,0,1,1"}, 400, "CRS84"),
    ("/api/collections/globe/map", {"bbox": "0,10,10"}, 400, "west,south,east,north"),
    ("/api/collections/globe/map", {"scale": "log", "clim": "-1,1"}, 400, "above zero"),
    ("/api/collections/globe/legend", {"width": "0"}, 400, "from 1"),
    ("/api/collections/none/map", {}, 404, "none"),
]


@pytest.mark.parametrize("path,query,status,says", WRONG, ids=lambda v: str(v).rsplit("/api/", 1)[-1][:60])
def test_what_cannot_be_drawn_is_refused_in_words(maps, path, query, status, says):
    answer = fetch(maps, path, status, **query)
    assert answer.headers["content-type"] == "application/problem+json"
    assert says in answer.json()["detail"], answer.json()["detail"]


def test_tilejson_names_tiles_that_are_there(maps):
    document = fetch(maps, "/api/collections/globe/map/tiles/WebMercatorQuad/tilejson.json", variable="t", clim="240,310", datetime="2001-02-30").json()
    assert document["tilejson"] == "3.0.0" and document["maxzoom"] == 24
    assert document["bounds"][0] == -180 and abs(document["bounds"][3] - 85.0511287) < 1e-6
    url = document["tiles"][0].replace("{z}", "1").replace("{y}", "0").replace("{x}", "1")
    tile = pixels(maps.session.get(url))
    direct = fetch(maps, "/api/collections/globe/map/tiles/WebMercatorQuad/1/0/1", variable="t", clim="240,310", datetime="2001-02-30")
    assert (tile == pixels(direct)).all() and "<" not in document.get("attribution", "")
    fetch(maps, "/api/collections/globe/map/tiles/WebMercatorQuad/tilejson.json", 400, variable="x")


def test_the_links_of_a_collection_lead_to_its_pictures(maps):
    collection = fetch(maps, "/api/collections/globe").json()
    links = {link["rel"]: link for link in collection["links"]}
    assert links["wms"]["wms:layers"] == ["globe/t"] and links["wmts"]["wmts:layer"] == ["globe/t"]
    for rel in ["http://www.opengis.net/def/rel/ogc/1.0/map", "http://www.opengis.net/def/rel/ogc/1.0/tilesets-map", "tilejson", "legend"]:
        answer = maps.session.get(links[rel]["href"])
        assert answer.status_code == 200 and answer.headers["content-type"].startswith(links[rel]["type"])
    tilesets = maps.session.get(links["http://www.opengis.net/def/rel/ogc/1.0/tilesets-map"]["href"]).json()["tilesets"]
    for tileset in tilesets:
        one = maps.session.get(next(link["href"] for link in tileset["links"] if link["rel"] == "self")).json()
        item = next(link for link in one["links"] if link["rel"] == "item")
        url = item["href"].replace("{tileMatrix}", "1").replace("{tileRow}", "0").replace("{tileCol}", "0")
        assert maps.session.get(url).headers["content-type"] == item["type"]
        scheme = next(link["href"] for link in one["links"] if link["rel"].endswith("tiling-scheme"))
        assert maps.session.get(scheme).json()["id"] == tileset["tileMatrixSetId"]


def test_the_legend_has_the_colours_of_the_picture(maps):
    legend = fetch(maps, "/api/collections/globe/legend", f="json", clim="250,300", colormap="viridis").json()
    assert legend["range"] == [250, 300] and legend["unit"] == "K" and len(legend["colors"]) == 256
    assert [int(c, 16) for c in (legend["colors"][10][1:3], legend["colors"][10][3:5], legend["colors"][10][5:7])] == TABLES[NAMES.index("viridis")][10].tolist()
    assert [t["label"] for t in legend["ticks"]] == ["250", "260", "270", "280", "290", "300"]
    bar = pixels(fetch(maps, "/api/collections/globe/legend", bar="only", width=3, height=256, colormap="viridis"))
    assert (bar[::-1, 1, :3] == TABLES[NAMES.index("viridis")]).all()
    across = pixels(fetch(maps, "/api/collections/globe/legend", bar="only", orientation="horizontal", width=256, height=2, colormap="viridis"))
    assert (across[0, :, :3] == TABLES[NAMES.index("viridis")]).all()
    whole = pixels(fetch(maps, "/api/collections/globe/legend"))
    assert whole.shape[0] > 200 and (whole[:, :, :3] == [0x22] * 3).all(axis=2).sum() > 100, "it has words"


def test_without_a_choice_the_colours_are_the_first_pictures(maps):
    """Tiles, maps and the preview start from one scale."""
    legend = fetch(maps, "/api/collections/ncep/legend", f="json").json()
    stated = ",".join(map(repr, legend["range"]))
    path = "/api/collections/ncep/map/tiles/WebMercatorQuad/1/0/0"
    assert fetch(maps, path).content == fetch(maps, path, clim=stated, colormap=legend["colormap"], variable=legend["variable"]).content
    assert fetch(maps, path, clim="auto", colormap="default").content == fetch(maps, path).content
    preview = fetch(maps, "/api/collections/ncep/preview.png")
    chosen = fetch(maps, "/api/collections/ncep/preview.png", clim=stated, colormap=legend["colormap"])
    assert preview.content == chosen.content


def test_owslib_reads_wms_and_gets_maps_values_and_legends(maps):
    from owslib.util import ServiceException
    from owslib.wms import WebMapService

    for version in ("1.3.0", "1.1.1"):
        for url in (f"{maps.url}/api/wms", f"{maps.url}/api/collections/globe/wms"):
            wms = WebMapService(url, version=version)
            layer = wms["globe/t"]
            assert wms.identification.version == version and layer.title == "Air <temperature> & more"
            assert layer.parent.title == "A globe & its poles"
            assert layer.timepositions == [f"2001-02-{d:02}T00:00:00Z" for d in range(26, 31)]
            assert layer.elevations == ["2", "500"] or [float(e) for e in layer.elevations] == [2, 500]
            assert layer.boundingBoxWGS84 == (-180, -90, 180, 90)
            assert {"default", "viridis", "thermal"} <= set(layer.styles) and "EPSG:3031" in layer.crsOptions
            assert layer.queryable == 1 and "360_day" in layer.abstract
            assert ("ncep/air" in wms.contents) == (url.endswith("/api/wms"))
            query = {"layers": ["globe/t"], "styles": ["viridis"], "format": "image/png", "transparent": True}
            # OWSLib turns the box of EPSG:4326 around for 1.3.0.
            for srs, box in [("EPSG:4326", (20, -20, 50, 10)), ("EPSG:3857", (0, 0, 2e6, 2e6)), ("EPSG:3031", (-3e6, -3e6, 3e6, 3e6))]:
                kwargs = {"COLORSCALERANGE": "240,310"}
                answer = wms.getmap(srs=srs, bbox=box, size=(60, 60), time="2001-02-30", elevation="500", **query, **kwargs)
                found = np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGBA")).astype(int)
                text = ",".join(map(str, box))
                code = "CRS84" if srs == "EPSG:4326" else srs
                same = fetch(maps, "/api/collections/globe/map", **{"bbox": text, "bbox-crs": code}, crs=code, width=60, height=60, variable="t", colormap="viridis", clim="240,310", datetime="2001-02-30", z=500)
                assert (found == pixels(same)).all() and (found[:, :, 3] == 255).mean() > 0.9
            ask = dict(srs="EPSG:4326", bbox=(20, -20, 50, 10), size=(60, 60), time="2001-02-30", query_layers=["globe/t"], xy=(12, 47))
            told = json.loads(wms.getfeatureinfo(info_format="application/json", **ask, **query).read())["features"][0]["properties"]
            place = (20 + 12.5 / 2, 10 - 47.5 / 2)
            assert (told["longitude"], told["latitude"]) == pytest.approx(place)
            assert told["value"] == values(maps, "globe", "t", [place], datetime="2001-02-30", z="2")[0]
            assert told["time"] == "2001-02-30T00:00:00Z" and told["unit"] == "K"
            for kind, has in [("text/plain", f"value: {told['value']}"), ("text/xml", f"<value>{told['value']}</value>"), ("text/html", f"<td>{told['value']}</td>")]:
                assert has in wms.getfeatureinfo(info_format=kind, **ask, **query).read().decode()
            legend = maps.session.get(layer.styles["default"]["legend"])
            assert Image.open(io.BytesIO(legend.content)).size == (190, 270)
            for wrong in [{"time": "1999-01-01"}, {"elevation": "7"}, {"srs": "EPSG:27700"}, {"styles": ["none"]}, {"layers": ["globe/x"]}]:
                with pytest.raises(ServiceException) as e:
                    wms.getmap(**{**query, "srs": "EPSG:3857", "bbox": (0, 0, 1, 1), "size": (9, 9), **wrong})
                assert "<ServiceException" in str(e.value) and "expected" in str(e.value) or "there is no" in str(e.value)


def test_wms_gives_the_box_of_4326_in_the_order_of_its_version(maps):
    common = {"service": "WMS", "request": "GetMap", "layers": "globe/t", "styles": "", "width": 20, "height": 10, "format": "image/png"}
    new = fetch(maps, "/api/wms", **common, version="1.3.0", crs="EPSG:4326", bbox="0,20,10,40")
    old = fetch(maps, "/api/wms", **common, version="1.1.1", srs="EPSG:4326", bbox="20,0,40,10")
    third = fetch(maps, "/api/wms", **common, version="1.3.0", crs="CRS:84", bbox="20,0,40,10")
    assert new.content == old.content == third.content
    other = fetch(maps, "/api/wms", **common, version="1.3.0", crs="EPSG:4326", bbox="20,0,40,10")
    assert other.content != new.content


def test_wms_knows_the_parameters_of_ncwms(maps):
    common = {"SERVICE": "WMS", "VERSION": "1.3.0", "REQUEST": "GetMap", "LAYERS": "globe/t", "CRS": "CRS:84", "BBOX": "150,35,179,49", "WIDTH": 58, "HEIGHT": 28, "FORMAT": "image/png"}
    get = lambda **more: pixels(fetch(maps, "/api/wms", **{**common, "TRANSPARENT": "TRUE", **more}))
    plain = get(STYLES="viridis", COLORSCALERANGE="260,290")
    assert (get(STYLES="default-scalar/viridis", COLORSCALERANGE="260,290") == plain).all()
    assert (plain[:, :, 3] == 0).any(), "the hole in the data"
    banded = get(STYLES="viridis", COLORSCALERANGE="260,290", NUMCOLORBANDS=4)
    assert len(np.unique(banded[banded[:, :, 3] > 0], axis=0)) <= 4 < len(np.unique(plain[plain[:, :, 3] > 0], axis=0))
    cut = get(STYLES="viridis", COLORSCALERANGE="264,266", ABOVEMAXCOLOR="0xFF0000", BELOWMINCOLOR="transparent")
    red = (cut == [255, 0, 0, 255]).all(axis=2)
    assert red.any() and (cut[:, :, 3] == 0).sum() > (plain[:, :, 3] == 0).sum()
    assert (get(OPACITY="50", STYLES="viridis")[:, :, 3][plain[:, :, 3] > 0] == 128).all()
    opaque = pixels(fetch(maps, "/api/wms", **common, STYLES="viridis", COLORSCALERANGE="260,290"))
    assert (opaque[plain[:, :, 3] == 0] == 255).all() and (opaque[plain[:, :, 3] > 0] == plain[plain[:, :, 3] > 0]).all()
    black = pixels(fetch(maps, "/api/wms", **common, BGCOLOR="0x000000", STYLES="viridis"))
    assert (black[plain[:, :, 3] == 0] == [0, 0, 0, 255]).all()
    assert (get(TIME="current") == get(TIME="2001-02-30")).all() and (get() == get(TIME="2001-02-26", ELEVATION="2")).all()
    assert (get(TIME="2001-02-27/2001-02-29/P1D") == get(TIME="2001-02-27")).all()


@pytest.mark.parametrize(
    "query,code,says",
    [
        ({"REQUEST": "GetMap"}, None, "LAYERS"),
        ({"REQUEST": "Nothing"}, "OperationNotSupported", "GetFeatureInfo"),
        ({"REQUEST": "GetMap", "LAYERS": "globe"}, "LayerNotDefined", "COLLECTION/VARIABLE"),
        ({"REQUEST": "GetMap", "LAYERS": "globe/t,ncep/air"}, None, "LayerLimit"),
        ({"REQUEST": "GetMap", "LAYERS": "none/t"}, "LayerNotDefined", "no such layer"),
        ({"REQUEST": "GetMap", "LAYERS": "globe/t", "CRS": "EPSG:1"}, "InvalidCRS", "EPSG:3857"),
        ({"REQUEST": "GetMap", "LAYERS": "globe/t", "CRS": "CRS:84", "BBOX": "1,1,1,2"}, None, "minx less than maxx"),
        ({"REQUEST": "GetMap", "LAYERS": "globe/t", "CRS": "CRS:84", "BBOX": "1,1,2,2", "WIDTH": "x", "HEIGHT": "1"}, None, "whole number"),
        ({"REQUEST": "GetMap", "LAYERS": "globe/t", "CRS": "CRS:84", "BBOX": "1,1,2,2", "WIDTH": "9999", "HEIGHT": "1"}, None, "WIDTH="),
        ({"REQUEST": "GetMap", "LAYERS": "globe/t", "CRS": "CRS:84", "BBOX": "1,1,2,2", "WIDTH": "9", "HEIGHT": "9", "FORMAT": "image/gif"}, "InvalidFormat", "image/png"),
        ({"REQUEST": "GetMap", "LAYERS": "globe/t", "CRS": "CRS:84", "BBOX": "1,1,2,2", "WIDTH": "9", "HEIGHT": "9", "TIME": "2001-03-01"}, "InvalidDimensionValue", "TIME="),
        ({"REQUEST": "GetMap", "LAYERS": "globe/t", "CRS": "CRS:84", "BBOX": "1,1,2,2", "WIDTH": "9", "HEIGHT": "9", "DIM_MEMBER": "1"}, "InvalidDimensionValue", "no such dimension"),
        ({"REQUEST": "GetMap", "LAYERS": "globe/t", "CRS": "CRS:84", "BBOX": "1,1,2,2", "WIDTH": "9", "HEIGHT": "9", "STYLES": "x<y"}, "StyleNotDefined", "x&lt;y"),
        ({"REQUEST": "GetFeatureInfo", "QUERY_LAYERS": "globe/t", "CRS": "CRS:84", "BBOX": "1,1,2,2", "WIDTH": "9", "HEIGHT": "9", "I": "9", "J": "0"}, "InvalidPoint", "0 to 8"),
        ({"REQUEST": "GetLegendGraphic"}, None, "LAYER"),
    ],
    ids=lambda v: str(v)[:40],
)
def test_wms_refuses_in_its_own_words(maps, query, code, says):
    from xml.etree import ElementTree

    for version, kind in [("1.3.0", "text/xml"), ("1.1.1", "application/vnd.ogc.se_xml")]:
        answer = fetch(maps, "/api/wms", 400, SERVICE="WMS", VERSION=version, **query)
        assert answer.headers["content-type"].startswith(kind)
        report = ElementTree.fromstring(answer.text)
        one = report.find("{http://www.opengis.net/ogc}ServiceException")
        expected = "InvalidSRS" if (code, version) == ("InvalidCRS", "1.1.1") else code
        assert report.attrib["version"] == version and one.attrib.get("code") == expected
        assert says in answer.text


def test_owslib_reads_wmts_and_gets_tiles_both_ways(maps):
    from owslib.wmts import WebMapTileService

    for url in (f"{maps.url}/api/wmts", f"{maps.url}/api/collections/globe/wmts", f"{maps.url}/api/wmts/1.0.0/WMTSCapabilities.xml"):
        wmts = WebMapTileService(url)
        layer = wmts["globe/t"]
        assert layer.title == "Air <temperature> & more" and layer.formats == ["image/png", "image/webp"]
        assert list(layer.styles)[0] == "default" and layer.styles["default"]["isDefault"] and "viridis" in layer.styles
        assert layer.dimensions["Time"]["values"][-1] == "2001-02-30T00:00:00Z" and layer.dimensions["Elevation"]["default"] in ("2", "2.0")
        assert wmts.tilematrixsets["UPSArcticWGS84Quad"].tilematrix["3"].matrixwidth == 8
        assert abs(wmts.tilematrixsets["WebMercatorQuad"].tilematrix["0"].scaledenominator - 559082264.0287178) < 1e-3
        for tms in layer.tilematrixsetlinks:
            one = {"layer": "globe/t", "tilematrixset": tms, "tilematrix": "2", "row": 1, "column": 2, "format": "image/png"}
            for style in ("default", "viridis"):
                kvp = wmts.gettile(**one, style=style, Time="2001-02-28", Elevation="500").read()
                rest = maps.session.get(wmts.buildTileResource(**one, style=style, Time="2001-02-28", Elevation="500")).content
                same = {} if style == "default" else {"colormap": style}
                direct = fetch(maps, f"/api/collections/globe/map/tiles/{tms}/2/1/2", datetime="2001-02-28", z="500", **same)
                assert kvp == rest == direct.content
        assert maps.session.get(layer.styles["default"]["legend"]).headers["content-type"] == "image/png"
    for query, code, says in [
        ({"TILEROW": "9"}, "TileOutOfRange", "4 rows"),
        ({"TILEROW": ""}, "MissingParameterValue", "TILEROW"),
        ({"TILEMATRIXSET": "x"}, "InvalidParameterValue", "WorldCRS84Quad"),
        ({"LAYER": "globe/x"}, "InvalidParameterValue", "no such layer"),
        ({"TIME": "1999-01-01"}, "InvalidParameterValue", "TIME="),
    ]:
        asked = {"SERVICE": "WMTS", "REQUEST": "GetTile", "LAYER": "globe/t", "TILEMATRIXSET": "WebMercatorQuad", "TILEMATRIX": "2", "TILEROW": "1", "TILECOL": "1"}
        answer = fetch(maps, "/api/wmts", 400, **{**asked, **query})
        assert f'exceptionCode="{code}"' in answer.text and says in answer.text and answer.headers["content-type"].startswith("text/xml")


def test_flags_have_a_legend_of_their_meanings(maps, tmp_path):
    kinds = xr.Dataset(
        {"kind": (("lat", "lon"), np.array([[1, 2], [3, 2]], "i1"), {"flag_values": np.array([1, 2, 3], "i1"), "flag_meanings": "water wet_land land"})},
        {"lat": ("lat", [0.0, 1.0], {"units": "degrees_north"}), "lon": ("lon", [0.0, 1.0], {"units": "degrees_east"})},
    )
    kinds.to_netcdf(tmp_path / "kinds.nc")
    run = [binary(), "ingest", tmp_path / "kinds.nc", "--collection", "kinds", "--data", tmp_path / "data"]
    subprocess.run(run, check=True, capture_output=True)
    s = Server(tmp_path / "data")
    s.session = requests.Session()
    try:
        legend = fetch(s, "/api/collections/kinds/legend", f="json").json()
        assert [(c["value"], c["meaning"]) for c in legend["categories"]] == [(1, "water"), (2, "wet_land"), (3, "land")]
        shown = pixels(fetch(s, "/api/collections/kinds/map", bbox="-0.5,-0.5,1.5,1.5", width=2, height=2))
        hexed = ["#%02x%02x%02x" % tuple(p[:3]) for p in shown.reshape(-1, 4)]
        meant = {c["value"]: c["color"] for c in legend["categories"]}
        assert hexed == [meant[3], meant[2], meant[1], meant[2]]
    finally:
        s.stop()


def test_gdal_reads_xyz_wmts_and_wms(maps):
    """As QGIS does: the same library, the same drivers."""
    import rasterio
    from rasterio.windows import Window

    tile = pixels(fetch(maps, "/api/collections/globe/map/tiles/WebMercatorQuad/3/2/5"))
    xyz = f"""<GDAL_WMS><Service name="TMS"><ServerUrl>{maps.url}/api/collections/globe/map/tiles/WebMercatorQuad/${{z}}/${{y}}/${{x}}.png</ServerUrl></Service>
        <DataWindow><UpperLeftX>{-HALF_M}</UpperLeftX><UpperLeftY>{HALF_M}</UpperLeftY><LowerRightX>{HALF_M}</LowerRightX><LowerRightY>{-HALF_M}</LowerRightY>
        <TileLevel>3</TileLevel><TileCountX>1</TileCountX><TileCountY>1</TileCountY><YOrigin>top</YOrigin></DataWindow>
        <Projection>EPSG:3857</Projection><BlockSizeX>256</BlockSizeX><BlockSizeY>256</BlockSizeY><BandsCount>4</BandsCount></GDAL_WMS>"""
    wmts = f"WMTS:{maps.url}/api/wmts/1.0.0/WMTSCapabilities.xml,layer=globe/t,tilematrixset=WebMercatorQuad,zoom_level=3"
    for source in (xyz, wmts):
        with rasterio.open(source) as ds:
            assert ds.shape == (2048, 2048) and ds.crs.to_epsg() == 3857
            found = np.moveaxis(ds.read(window=Window(5 * 256, 2 * 256, 256, 256)), 0, 2)
            assert (found == tile).all()
    for version, key in [("1.1.1", "SRS"), ("1.3.0", "CRS")]:
        wms = f"WMS:{maps.url}/api/wms?SERVICE=WMS&VERSION={version}&REQUEST=GetMap&LAYERS=globe/t&{key}=EPSG:3857&BBOX={-HALF_M},{-HALF_M},{HALF_M},{HALF_M}&FORMAT=image/png&TRANSPARENT=TRUE"
        with rasterio.open(wms) as ds:
            assert ds.count == 4 and (ds.read(out_shape=(4, 64, 64))[3] == 255).mean() > 0.9
    with rasterio.open(f"WMS:{maps.url}/api/wms") as ds:
        assert any("globe%2Ft" in s for s in ds.subdatasets)
