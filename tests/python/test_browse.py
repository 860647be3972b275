"""Counting, browsing and lineage: what the server keeps count of against a look at every item."""

import collections
import hashlib
import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import numpy as np
import pystac
import pytest
import xarray as xr
from pystac.extensions.projection import ProjectionExtension
from pystac_client import Client

from conftest import Server, binary

DAYS = 40


def write(path, day, west=0.0, south=40.0, value=0.0, days=1):
    time = np.datetime64("2019-12-20") + day + np.arange(days)
    xr.Dataset(
        {"t": (("time", "lat", "lon"), np.full((days, 5, 11), value, "f4"), {"units": "K"})},
        {
            "time": ("time", time),
            "lat": ("lat", south + np.arange(5.0), {"units": "degrees_north"}),
            "lon": ("lon", west + np.arange(11.0) * 2, {"units": "degrees_east"}),
        },
        {"title": "Days", "processing_level": "Level 4"},
    ).to_netcdf(path, encoding={"time": {"units": "days since 2000-01-01"}})


def ingest(data, collection, *files, **options):
    flags = [x for k, v in options.items() for x in (f"--{k}", v)]
    run = [binary(), "ingest", *files, "--collection", collection, "--data", data, *flags]
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browse")
    for name, west, south in (("daily", 0.0, 40.0), ("dateline", 170.0, -30.0)):
        (folder / name).mkdir()
        for day in range(DAYS):
            write(folder / name / f"{name}_{day:02}.nc", day, west, south)
        ingest(folder / "data", name, folder / name)
    (folder / "long").mkdir()
    write(folder / "long" / "winter.nc", 0, days=91)
    write(folder / "long" / "spring.nc", 91, days=92)
    ingest(folder / "data", "long", folder / "long")
    return folder


@pytest.fixture(scope="module")
def api(home):
    s = Server(home / "data")
    yield f"{s.url}/api"
    s.stop()


@pytest.fixture(scope="module")
def client(api):
    return Client.open(api)


def get(url, body=None):
    request = urllib.request.Request(url)
    if body is not None:
        request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    return json.loads(urllib.request.urlopen(request).read())


def refused(url, body=None):
    with pytest.raises(urllib.error.HTTPError) as e:
        get(url, body)
    return e.value.code, json.loads(e.value.read())["detail"]


def every(items_url):
    """All items of a listing, page by page."""
    found = []
    while items_url:
        page = get(items_url)
        found += page["features"]
        items_url = next((l["href"] for l in page["links"] if l["rel"] == "next"), None)
    return found


def only(answer, name):
    return next(a for a in answer["aggregations"] if a["name"] == name)


def frequencies(answer, name):
    return {b["key"]: b["frequency"] for b in only(answer, name)["buckets"]}


ALL = (
    "total_count,datetime_min,datetime_max,datetime_frequency,collection_frequency,"
    "centroid_geohash_grid_frequency,geometry_geohash_grid_frequency"
)


def month(item):
    p = item["properties"]
    return (p["datetime"] or p["start_datetime"])[:7] + "-01T00:00:00Z"


def test_aggregations_are_announced_and_linked(client, api):
    assert any("v0.3.0/aggregation" in c for c in client.to_dict()["conformsTo"])
    for holder in (client.to_dict(), get(f"{api}/collections/daily")):
        rels = collections.Counter(l["rel"] for l in holder["links"])
        assert rels["aggregate"] == 2 and rels["aggregations"] == 1
        url = next(l["href"] for l in holder["links"] if l["rel"] == "aggregations")
        assert {a["name"] for a in get(url)["aggregations"]} == set(ALL.split(","))


@pytest.mark.parametrize(
    "filter",
    [
        {},
        {"collections": ["daily"]},
        {"bbox": [5, 41, 6, 42]},
        {"bbox": [175, -29, -175, -28], "datetime": "2020-01-05T00:00:00Z/2020-01-17T23:00:00Z"},
        {"datetime": "2020-01-02T00:00:00Z/.."},
        {"q": ["dateline"], "ids": ["dateline_03.nc", "daily_04.nc"]},
        {"filter": {"op": "like", "args": [{"property": "id"}, "%_1_.nc"]}},
        {"query": {"datetime": {"lt": "2020-01-01T00:00:00Z"}}},
        {"collections": ["nothing"]},
    ],
)
def test_counts_are_those_of_the_items_that_the_same_search_finds(api, filter):
    found = get(f"{api}/search", {**filter, "limit": 1000})["features"]
    answer = get(
        f"{api}/aggregate", {**filter, "aggregations": ALL.split(","), "datetime_frequency_interval": "month"}
    )
    assert [a["name"] for a in answer["aggregations"]] == ALL.split(",")
    assert only(answer, "total_count")["value"] == len(found)
    starts = [i["properties"]["datetime"] or i["properties"]["start_datetime"] for i in found]
    for name, value in (("datetime_min", min(starts, default=None)), ("datetime_max", max(starts, default=None))):
        assert only(answer, name)["value"] == value
    assert frequencies(answer, "collection_frequency") == collections.Counter(i["collection"] for i in found)
    assert frequencies(answer, "datetime_frequency") == collections.Counter(map(month, found))
    assert sum(frequencies(answer, "centroid_geohash_grid_frequency").values()) == len(found)
    assert all(a.get("overflow", 0) == 0 for a in answer["aggregations"])


def test_what_is_kept_and_what_is_walked_say_the_same(api):
    precise = f"aggregations={ALL}&datetime_frequency_interval=day&geometry_geohash_grid_frequency_precision=2"
    # A filter that everything fits makes it look at every item.
    walked = get(f"{api}/aggregate?{precise}&filter=graticule:bytes%20%3E%200")
    names = [n for n in ALL.split(",") if not n.startswith("centroid")]
    kept = get(f"{api}/aggregate?{precise.replace('centroid_geohash_grid_frequency,', '')}")
    for name in names:
        assert only(kept, name) == only(walked, name)
    one = get(f"{api}/collections/daily/aggregate?{precise}")
    assert only(one, "total_count")["value"] == DAYS
    assert one["aggregations"] == get(f"{api}/aggregate?{precise}&collections=daily")["aggregations"]
    body = {"aggregations": ["total_count"], "collections": ["daily"]}
    assert only(get(f"{api}/collections/daily/aggregate", body), "total_count")["value"] == DAYS


def test_geohashes_are_as_long_as_asked_and_lie_where_the_items_are(api):
    url = f"{api}/collections/daily/aggregate?aggregations=centroid_geohash_grid_frequency"
    # The middle of 1 W to 21 E, 39.5 N to 44.5 N: bits of the longitude and the latitude in turn.
    x, y = (int((10 + 180) / 360 * 2**30), int((42 + 90) / 180 * 2**30))
    bits = "".join(a + b for a, b in zip(f"{x:030b}", f"{y:030b}"))
    middle = "".join("0123456789bcdefghjkmnpqrstuvwxyz"[int(bits[i : i + 5], 2)] for i in range(0, 60, 5))
    assert middle.startswith("sp")
    for precision in (1, 2, 5, 12):
        found = frequencies(get(f"{url}&centroid_geohash_grid_frequency_precision={precision}"), "centroid_geohash_grid_frequency")
        assert found == {middle[:precision]: DAYS}
    met = frequencies(get(f"{api}/collections/dateline/aggregate?aggregations=geometry_geohash_grid_frequency"), "geometry_geohash_grid_frequency")
    assert met == {"r": DAYS, "2": DAYS}


@pytest.mark.parametrize(
    "query, said",
    [
        ("", "total_count"),
        ("aggregations=", "total_count"),
        ("aggregations=count", "total_count"),
        ("aggregations=total_count&limit=3", "no such parameter"),
        ("aggregations=total_count&datetime_frequency_interval=week", "year, month or day"),
        ("aggregations=total_count&geometry_geohash_grid_frequency_precision=3", "1 to 2"),
        ("aggregations=total_count&centroid_geohash_grid_frequency_precision=0", "1 to 12"),
        ("aggregations=total_count&bbox=1,2,3", "west,south,east,north"),
    ],
)
def test_aggregations_that_cannot_be_meant_are_refused_in_words(api, query, said):
    code, detail = refused(f"{api}/aggregate?{query}")
    assert code == 400 and said in detail


@pytest.mark.parametrize(
    "path, said",
    [
        ("2020/13", "no month \"13\"; expected two digits, from 01 to 12"),
        ("2020/6", "no month \"6\""),
        ("20", "no year \"20\"; expected four digits"),
        ("2021/02/29", "no day \"29\" of 2021-02; expected two digits, from 01 to 28"),
        ("regions/a", "expected a geohash"),
    ],
)
def test_periods_and_regions_that_there_are_not_are_refused_in_words(api, path, said):
    code, detail = refused(f"{api}/collections/daily/browse/{path}")
    assert code == 400 and said in detail


def test_bodies_that_cannot_be_meant_are_refused_in_words(api):
    for body, said in (
        ({}, "total_count"),
        ({"aggregations": None}, "total_count"),
        ({"aggregations": []}, "total_count"),
        ({"aggregations": "total_count"}, "a list"),
        ({"aggregations": ["total_count"], "sortby": []}, "no such member"),
        ({"aggregations": ["total_count"], "collections": ["long"]}, "the path says daily"),
    ):
        code, detail = refused(f"{api}/collections/daily/aggregate", body)
        assert code == 400 and said in detail


def walk(url):
    """Every catalog below, by its own address."""
    here = get(url)
    yield url, here
    for l in here["links"]:
        if l["rel"] == "child":
            yield from walk(l["href"])


def test_every_catalog_counts_the_items_that_it_links_to(api, client):
    for name in ("daily", "dateline", "long"):
        seen = list(walk(f"{api}/collections/{name}/browse"))
        assert len(seen) > 10
        for url, here in seen:
            pystac.Catalog.from_dict(here)
            items = every(next(l["href"] for l in here["links"] if l["rel"] == "items"))
            assert here["graticule:count"] == len(items) > 0, url
            boxes = [i["bbox"] for i in items]
            assert here["extent"]["spatial"]["bbox"] == [boxes[0]]
            starts = [i["properties"].get("start_datetime") or i["properties"]["datetime"] for i in items]
            ends = [i["properties"].get("end_datetime") or i["properties"]["datetime"] for i in items]
            assert here["extent"]["temporal"]["interval"] == [[min(starts), max(ends)]]
            assert next(l["href"] for l in here["links"] if l["rel"] == "self") == url
            for part in here["graticule:parts"]:
                child = get(part["href"])
                assert (part["graticule:count"], part["extent"]) == (child["graticule:count"], child["extent"])
    assert any(l.rel == "contents" and l.href.endswith("/browse") for l in client.get_collection("daily").links)


def test_years_months_and_days_have_what_happened_in_them(api):
    here = f"{api}/collections/daily/browse"
    counts = lambda url: {p["name"]: p["graticule:count"] for p in get(url)["graticule:parts"]}
    assert counts(here) == {"2019": 12, "2020": 28}
    assert counts(f"{here}/2020") == {"2020-01": 28}
    assert counts(f"{here}/2019/12") == {f"2019-12-{d}": 1 for d in range(20, 32)}
    assert counts(f"{here}/2019/12/20") == {}
    # A file of three months is in each of their days.
    here = f"{api}/collections/long/browse"
    assert counts(f"{here}/2020") == {"2020-01": 1, "2020-02": 1, "2020-03": 2, "2020-04": 1, "2020-05": 1, "2020-06": 1}
    assert counts(f"{here}/2020/02") == {f"2020-02-{d:02}": 1 for d in range(1, 30)}
    assert refused(f"{here}/2021")[0] == 404
    for bad in ("20", "2020/13", "2020/02/30", "abcd", "0000"):
        code, detail = refused(f"{here}/{bad}")
        assert code == 400 and "YYYY" in detail


def test_regions_have_what_lies_in_them(api):
    here = f"{api}/collections/dateline/browse/regions"
    world = get(here)
    assert [(p["name"], p["region"]) for p in world["graticule:parts"]] == [("2", [-180, -45, -135, 0]), ("r", [135, -45, 180, 0])]
    assert world["graticule:without_place"] == 0
    assert {p["name"][0] for p in get(f"{here}/r")["graticule:parts"]} == {"r"}
    assert refused(f"{here}/u")[0] == 404
    for bad in ("a", "u00", "U"):
        code, detail = refused(f"{here}/{bad}")
        assert code == 400 and "geohash" in detail


def test_an_item_names_its_source_and_the_source_its_items(api, home):
    item = get(f"{api}/collections/daily/items/daily_03.nc")
    file = home / "daily" / "daily_03.nc"
    sum = hashlib.sha256(file.read_bytes()).hexdigest()
    source = next(l for l in item["links"] if l["rel"] == "derived_from")
    assert (source["title"], source["file:size"], source["file:checksum"]) == ("daily_03.nc", file.stat().st_size, f"1220{sum}")
    p = item["properties"]
    assert "daily_03.nc" in p["processing:lineage"] and p["processing:level"] == "L4"
    assert set(p["processing:software"]) == {"graticule"}
    for url in (
        source["href"],
        f"{api}/lineage?source=daily_03.nc",
        f"{api}/lineage?source=sha256:{sum}",
        f"{api}/collections/daily/lineage?granule=daily_03.nc",
    ):
        (derived,) = get(url)["derived"]
        assert (derived["item"], derived["version"], derived["state"]) == ("daily_03.nc", p["version"], "current")
        assert derived["granule"]["checksum"] == f"sha256:{sum}"
        for rel in ("item", "version", "collection"):
            get(next(l["href"] for l in derived["links"] if l["rel"] == rel))
    assert get(f"{api}/collections/long/lineage?granule=daily_03.nc")["derived"] == []
    assert get(f"{api}/lineage?source=nothing.nc")["numberReturned"] == 0
    for bad in ("lineage", "lineage?source=", "lineage?source=sha256:12", "collections/daily/lineage?granule="):
        code, detail = refused(f"{api}/{bad}")
        assert code == 400 and "sha256" in detail


def test_no_folder_of_the_server_is_told(api, home):
    versions = get(f"{api}/collections/daily/versions")
    for url in ("collections/daily/items/daily_03.nc", "lineage?source=daily_03.nc", f"collections/daily/versions/{versions['versions'][0]['id']}"):
        assert str(home) not in json.dumps(get(f"{api}/{url}"))


def test_what_was_replaced_and_rolled_back_is_still_known_and_no_longer_counted(tmp_path):
    data = tmp_path / "data"
    for day in range(3):
        write(tmp_path / f"day{day}.nc", day)
    write(tmp_path / "again.nc", 1, value=5.0)
    write(tmp_path / "third.nc", 3, value=6.0)
    ingest(data, "c", *[tmp_path / f"day{d}.nc" for d in range(3)])
    ingest(data, "c", tmp_path / "again.nc", duplicates="replace")
    first = None

    def look(api):
        nonlocal first
        versions = get(f"{api}/collections/c/versions")["versions"]
        first = versions[-1]["id"]
        (old,) = get(f"{api}/lineage?source=day1.nc")["derived"]
        assert (old["state"], old["successor"], old["version"]) == ("replaced", "again.nc", first)
        assert old["until"]["version"] == versions[-2]["id"]
        (new,) = get(f"{api}/lineage?source=again.nc")["derived"]
        return old, new

    s = Server(data)
    api = f"{s.url}/api"
    try:
        assert look(api)[1]["state"] == "current"
        assert get(f"{api}/collections/c/browse")["graticule:count"] == 3
        s2 = subprocess.run([binary(), "rollback", "c", first, "--data", data], capture_output=True)
        assert s2.returncode == 0, s2.stderr
    finally:
        s.stop()
    ingest(data, "c", tmp_path / "third.nc")
    s = Server(data)
    api = f"{s.url}/api"
    try:
        days = get(f"{api}/collections/c/browse/2019/12")["graticule:parts"]
        assert [(p["name"], p["graticule:count"]) for p in days] == [(f"2019-12-2{d}", 1) for d in range(4)]
        states = [(d["item"], d["state"]) for d in get(f"{api}/lineage?source=day1.nc&limit=1000")["derived"]]
        assert states == [("day1.nc", "current"), ("day1.nc", "replaced")]
        (gone,) = get(f"{api}/lineage?source=again.nc")["derived"]
        assert gone["state"] == "removed" and not [l for l in gone["links"] if l["rel"] == "item"]
        # One at a time is the same.
        pages, url = [], f"{api}/lineage?source=day1.nc&limit=1"
        while url:
            page = get(url)
            pages += page["derived"]
            url = next((l["href"] for l in page["links"] if l["rel"] == "next"), None)
        assert [(d["item"], d["state"]) for d in pages] == states
        assert refused(f"{api}/lineage?source=day1.nc&token=x")[0] == 404
        before = [get(f"{api}/lineage?source={f}.nc")["derived"] for f in ("day1", "again", "third")]
        counts = get(f"{api}/collections/c/browse/2019")
    finally:
        s.stop()
    # All of it comes back from the store alone.
    for name in ("catalog.sqlite", "catalog.sqlite-wal", "catalog.sqlite-shm"):
        (data / name).unlink(missing_ok=True)
    s = Server(data)
    try:
        text = lambda v: json.dumps(v, sort_keys=True).replace(api, "")
        api2 = f"{s.url}/api"
        after = [get(f"{api2}/lineage?source={f}.nc")["derived"] for f in ("day1", "again", "third")]
        assert json.dumps(after, sort_keys=True).replace(api2, "") == text(before)
        again = get(f"{api2}/collections/c/browse/2019")
        assert json.dumps(again, sort_keys=True).replace(api2, "") == text(counts)
    finally:
        s.stop()


def test_a_check_finds_counts_that_are_wrong_and_repair_sets_them_right(tmp_path):
    import sqlite3

    data = tmp_path / "data"
    write(tmp_path / "a.nc", 0)
    ingest(data, "c", tmp_path / "a.nc")

    def check(*flags):
        done = subprocess.run([binary(), "check", "--json", "--data", data, *flags], capture_output=True, text=True)
        return [f["code"] for f in json.loads(done.stdout)["findings"]]

    assert check() == []
    c = sqlite3.connect(data / "catalog.sqlite")
    c.execute("UPDATE tallies SET count = 7 WHERE node = 't:2019'")
    c.commit()
    c.close()
    assert check() == ["counts-differ"]
    check("--repair")
    assert check() == []


def test_a_projected_grid_is_told_in_its_own_coordinates(tmp_path):
    x, y = np.arange(0.0, 4e5, 1e5), np.arange(3e5, -1e5, -1e5)
    mapping = {
        "grid_mapping_name": "lambert_conformal_conic",
        "standard_parallel": [30.0, 60.0],
        "longitude_of_central_meridian": 10.0,
        "latitude_of_projection_origin": 45.0,
    }
    xr.Dataset(
        {
            "t": (("y", "x"), np.zeros((4, 4), "f4"), {"grid_mapping": "lcc", "units": "K"}),
            "lcc": ((), 0, mapping),
        },
        {
            "y": ("y", y, {"standard_name": "projection_y_coordinate", "units": "m"}),
            "x": ("x", x, {"standard_name": "projection_x_coordinate", "units": "m"}),
        },
    ).to_netcdf(tmp_path / "lcc.nc")
    ingest(tmp_path / "data", "lcc", tmp_path / "lcc.nc")
    s = Server(tmp_path / "data")
    try:
        item = next(Client.open(f"{s.url}/api").get_collection("lcc").get_items())
        p = ProjectionExtension.ext(item)
        assert p.code is None and p.shape == [4, 4]
        assert p.transform == [1e5, 0, -5e4, 0, -1e5, 3.5e5] and p.bbox == [-5e4, -5e4, 3.5e5, 3.5e5]
        values = {q["id"]["code"]: q["value"] for q in p.projjson["conversion"]["parameters"]}
        assert values == {8821: 45, 8822: 10, 8823: 30, 8824: 60, 8826: 0, 8827: 0}
    finally:
        s.stop()


def test_a_grid_of_latitude_and_longitude_is_told_as_such(client):
    item = client.get_collection("daily").get_item("daily_00.nc")
    p = ProjectionExtension.ext(item)
    assert (p.code, p.shape, p.transform) == ("EPSG:4326", [5, 11], [2, 0, -1, 0, 1, 39.5])
    assert p.bbox == [-1, 39.5, 21, 44.5]
