"""Finding items: pystac-client against the real server, and answers that a look at every item gives."""

import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import numpy as np
import pytest
import xarray as xr
from pystac_client import Client

from conftest import Server, binary

DAYS = 25


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    for name, west, south in (("daily", 0.0, 40.0), ("dateline", 170.0, -30.0)):
        (folder / name).mkdir()
        for day in range(DAYS):
            time = np.datetime64("2020-01-01") + day
            xr.Dataset(
                {"t": (("time", "lat", "lon"), np.full((1, 5, 11), day, "f4"), {"units": "K"})},
                {
                    "time": ("time", [time]),
                    "lat": ("lat", south + np.arange(5.0), {"units": "degrees_north"}),
                    "lon": ("lon", west + np.arange(11.0) * 2, {"units": "degrees_east"}),
                },
                {"title": f"The {name} one"},
            ).to_netcdf(folder / name / f"{name}_{day:02}.nc")
        run = [binary(), "ingest", folder / name, "--collection", name, "--data", folder / "data"]
        subprocess.run(run, check=True, stdout=subprocess.DEVNULL)
    s = Server(folder / "data")
    yield f"{s.url}/api"
    s.stop()


@pytest.fixture(scope="module")
def client(api):
    return Client.open(api)


def ids(search):
    return [i.id for i in search.items()]


def test_every_item_is_on_one_page_whatever_the_order(client):
    for sortby in (None, "-datetime", "+collection,-id", "updated"):
        for limit in (1, 7, 50, 1000):
            found = [(i.collection_id, i.id) for i in client.search(limit=limit, sortby=sortby).items()]
            assert len(found) == len(set(found)) == 2 * DAYS
    newest = next(client.search(collections=["daily"], sortby="-datetime").items())
    assert newest.id == "daily_24.nc" and newest.datetime.day == 25


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_places_times_ids_and_words_find_what_they_mean(client, method):
    def count(**wanted):
        return len(ids(client.search(method=method, limit=100, **wanted)))

    assert count(collections=["daily"]) == DAYS and count(collections=["nothing"]) == 0
    assert count(ids=["daily_03.nc", "dateline_04.nc", "nothing"]) == 2
    assert count(bbox=[5, 41, 6, 42]) == DAYS and count(bbox=[30, 41, 31, 42]) == 0
    # Across the antimeridian, from both sides.
    assert count(bbox=[-175, -29, -174, -28]) == DAYS == count(bbox=[175, -29, 176, -28]) == count(bbox=[175, -29, -175, -28])
    assert count(datetime="2020-01-05T00:00:00Z") == 2
    assert count(datetime="2020-01-05T00:00:00Z/2020-01-07T23:00:00Z") == 6
    assert count(datetime="../2020-01-02T12:00:00Z") == 4
    triangle = {"type": "Polygon", "coordinates": [[[20, 44], [40, 60], [20, 60], [20, 44]]]}
    assert count(intersects=triangle) == DAYS
    beside = {"type": "Polygon", "coordinates": [[[22, 44], [40, 60], [22, 60], [22, 44]]]}
    assert count(intersects=beside) == 0


@pytest.mark.parametrize("name", ["ids", "collections"])
def test_an_empty_list_finds_nothing(client, api, name):
    def found(path, body=None):
        body = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{api}/{path}", body, {"Content-Type": "application/json"})
        return json.loads(urllib.request.urlopen(request).read())

    for path in ("search", "collections/daily/items"):
        assert found(f"{path}?{name}=")["features"] == [] and found(f"{path}?limit=1")["features"] != []
    assert found("search", {name: []})["features"] == [] and found("search", {name: None})["features"] != []
    for path in ("aggregate", "collections/daily/aggregate"):
        counted = found(path, {name: [], "aggregations": ["total_count", "collection_frequency"]})["aggregations"]
        assert counted[0]["value"] == 0 and counted[1]["buckets"] == []
    if name == "collections":
        assert [len(ids(client.search(method=m, collections=[]))) for m in ("GET", "POST")] == [0, 0]


def test_words_are_looked_for_in_items_and_their_collections(api):
    def count(q):
        query = urllib.parse.urlencode({"q": q, "limit": 100})
        return len(json.loads(urllib.request.urlopen(f"{api}/search?{query}").read())["features"])

    assert count("dateline one") == DAYS and count("THE DAILY") == DAYS and count("nothing of that") == 0
    assert count("daily_03,dateline_04") == 2


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_filters_in_both_forms_say_the_same(client, method):
    text = "collection = 'daily' AND (datetime < TIMESTAMP('2020-01-03T00:00:00Z') OR id LIKE '%_2_.nc')"
    args = [
        {"op": "=", "args": [{"property": "collection"}, "daily"]},
        {
            "op": "or",
            "args": [
                {"op": "<", "args": [{"property": "datetime"}, {"timestamp": "2020-01-03T00:00:00Z"}]},
                {"op": "like", "args": [{"property": "id"}, "%_2_.nc"]},
            ],
        },
    ]
    wanted = [f"daily_{d:02}.nc" for d in (0, 1, 20, 21, 22, 23, 24)]
    for filter, lang in ((text, "cql2-text"), ({"op": "and", "args": args}, "cql2-json")):
        if method == "GET" and lang == "cql2-json":
            filter = json.dumps(filter)
        assert ids(client.search(method=method, filter=filter, filter_lang=lang)) == wanted


def test_fields_leave_out_what_is_not_wanted(client):
    item = next(client.search(fields=["id", "properties.version", "-assets", "-links"]).items_as_dicts())
    assert set(item["properties"]) == {"datetime", "version"} and "assets" not in item and "links" not in item


def test_a_collection_has_its_own_listing_and_says_what_can_be_asked(client):
    daily = client.get_collection("daily")
    assert len(list(daily.get_items())) == DAYS
    for queryables in (client.get_queryables(), daily.get_queryables()):
        assert {"datetime", "geometry", "graticule:bytes"} <= set(queryables["properties"])


@pytest.mark.parametrize(
    "query, said",
    [
        ("datetime=2020-01-01", "2020-01-31T12:00:00Z"),
        ("datetime=2020-02-01T00:00:00Z/2020-01-01T00:00:00Z", "ends before it begins"),
        ("datetime=../..", "both ends are open"),
        ("filter=S_INTERSECTS(geometry, POLYGON EMPTY)", "is empty"),
        ('intersects={"type":"Point","coordinates":[]}', "is empty"),
        ("bbox=1,2,3", "west,south,east,north"),
        ("limit=0", "1 to 10000"),
        ("intersects={}", "GeoJSON"),
        ("filter=datetme>1", "did you mean"),
        ("filter=((((", "expected"),
        ("filter=" + "(" * 3000, "brackets"),
        ("filter=" + "a" * 20000, "bytes"),
        ("sortby=nothing", "there are id"),
        ("colections=a", "collections"),
        ("bbox=1,2,3,4&intersects=" + urllib.parse.quote('{"type":"Point","coordinates":[1,2]}'), "one of them"),
        ("filter-lang=sql&filter=a", "cql2-text"),
        ("datetime=2020-01-01T00:00:00Z&limit=1&datetime=2020-01-02T00:00:00Z", "given twice"),
        ("limit=1&limit=1", "given twice"),
        ("ids=" + "a," * 2000, "at most 1000"),
    ],
)
def test_what_cannot_be_meant_is_a_problem_in_words(api, query, said):
    with pytest.raises(urllib.error.HTTPError) as e:
        urllib.request.urlopen(f"{api}/search?{urllib.parse.quote(query, safe='=&,%')}")
    problem = json.loads(e.value.read())
    assert e.value.code == 400 and said in problem["detail"], problem


def test_no_page_begins_at_a_token_that_no_page_gave(api):
    for path in ("search?token=abc", "search?sortby=id&token=7", "collections?token=nobody"):
        with pytest.raises(urllib.error.HTTPError) as e:
            urllib.request.urlopen(f"{api}/{path}")
        assert e.value.code == 404 and "next" in json.loads(e.value.read())["detail"]


def test_a_body_that_cannot_be_meant_is_a_problem_in_words(api):
    deep = {"op": "isNull", "args": [{"property": "id"}]}
    for _ in range(60):
        deep = {"op": "not", "args": [deep]}
    for body in (
        b"[]",
        b"{",
        b'{"limit": -1}',
        b'{"bbox": ["a"]}',
        b'{"filter": {"op": "sleep", "args": []}}',
        b'{"sortby": [{"direction": "asc"}]}',
        json.dumps({"filter": {"op": "not", "args": [{"op": "not", "args": [deep] * 3}]}}).encode(),
        json.dumps({"intersects": {"type": "LineString", "coordinates": [[0, 0]] * 20_000}}).encode(),
    ):
        request = urllib.request.Request(f"{api}/search", body, {"Content-Type": "application/json"})
        with pytest.raises(urllib.error.HTTPError) as e:
            urllib.request.urlopen(request)
        assert e.value.code == 400 and json.loads(e.value.read())["detail"], body


def test_collections_are_found_by_words_and_come_in_pages(client, api):
    def found(**query):
        url = f"{api}/collections?{urllib.parse.urlencode(query)}"
        pages = []
        while url:
            page = json.loads(urllib.request.urlopen(url).read())
            pages.append([c["id"] for c in page["collections"]])
            url = next((l["href"] for l in page["links"] if l["rel"] == "next"), None)
        return pages

    assert found() == [["daily", "dateline"]]
    assert found(q="DATELINE one") == [["dateline"]] and found(q="nothing,daily") == [["daily"]]
    assert found(limit=1) == [["daily"], ["dateline"]] and found(limit=1, sortby="-id") == [["dateline"], ["daily"]]
    assert found(bbox="175,-29,-175,-28") == [["dateline"]] and found(datetime="2021-01-01/..") == [[]]
    assert [c.id for c in client.collection_search(q="daily").collections()] == ["daily"]
    short = json.loads(urllib.request.urlopen(f"{api}/collections?fields=id,-links").read())["collections"][0]
    assert "links" not in short and "cube:dimensions" not in short and short["type"] == "Collection"


def test_collections_are_found_by_cql2_and_come_in_pages(client, api):
    def found(**query):
        url = f"{api}/collections?{urllib.parse.urlencode(query)}"
        pages = []
        while url:
            page = json.loads(urllib.request.urlopen(url).read())
            pages.append([c["id"] for c in page["collections"]])
            url = next((l["href"] for l in page["links"] if l["rel"] == "next"), None)
        return pages

    both = "license = 'other' AND datetime >= DATE('2020-01-01') AND title LIKE 'The % one'"
    assert found(filter=both, limit=1, sortby="-id") == [["dateline"], ["daily"]]
    assert found(filter="S_INTERSECTS(geometry, BBOX(-175, -30, -170, 0))") == [["dateline"]]
    assert found(filter="T_DURING(datetime, INTERVAL('2019-01-01', '2020-01-25'))") == [[]]
    assert found(filter=both, q="dateline", bbox="0,40,1,41") == [[]]
    as_json = {"op": "=", "args": [{"property": "id"}, "daily"]}
    assert found(filter=json.dumps(as_json), **{"filter-lang": "cql2-json", "filter-crs": "CRS84"}) == [["daily"]]
    assert [c.id for c in client.collection_search(filter="id = 'daily'").collections()] == ["daily"]
    assert [c.id for c in client.collection_search(filter=as_json, filter_lang="cql2-json").collections()] == ["daily"]


def test_the_listing_of_collections_says_what_can_be_asked_of_them(api):
    page = json.loads(urllib.request.urlopen(f"{api}/collections").read())
    (link,) = [l for l in page["links"] if l["rel"].endswith("/queryables")]
    schema = json.loads(urllib.request.urlopen(link["href"]).read())
    assert schema["$id"] == link["href"] and {"title", "license", "geometry", "updated"} <= set(schema["properties"])
    conforms = json.loads(urllib.request.urlopen(f"{api}/conformance").read())["conformsTo"]
    assert "https://api.stacspec.org/v1.0.0-rc.1/collection-search#filter" in conforms
    for query, said in (("filter=licence = 'a'", "license"), ("filter=id = 1", "a text"), ("filter-crs=EPSG:3857", "CRS84")):
        with pytest.raises(urllib.error.HTTPError) as e:
            urllib.request.urlopen(f"{api}/collections?{urllib.parse.quote(query, safe='=&')}")
        assert e.value.code == 400 and said in json.loads(e.value.read())["detail"], query
