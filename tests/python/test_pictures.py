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
    ("fvcom_sfbofs_subset", "zeta", (11, 791, 327), "viridis", (-1, 1)),
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
