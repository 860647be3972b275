"""How the server behaves as HTTP and its own description say: ranges, codings, conditions, limits, links."""

import email
import http.client
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import cramjam
import numpy as np
import pytest
import xarray as xr
from owslib.wms import WebMapService
from owslib.wmts import WebMapTileService

from conftest import ROOT, Server, binary, sample_data

CHUNK = "/zarr/ostia/analysed_sst/c/0/0/0"


def ingest(data, name, path):
    command = [binary(), "ingest", path, "--collection", name, "--data", data]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    data = tmp_path_factory.mktemp("manners")
    ingest(data, "ostia", ROOT / "assets" / "demo" / "ostia-sst.nc")
    ingest(data, "ncep", ROOT / "assets" / "demo" / "ncep-climatology.nc")
    table = data / "stations.csv"
    rows = [f"2020-01-{1 + i % 28:02}T00:00:00Z,{i % 90},{i % 180},{i / 7:.3f}" for i in range(3000)]
    table.write_text("time,latitude,longitude,depth\n" + "\n".join(rows) + "\n")
    ingest(data, "stations", table)
    nowhere(data)
    return data


def nowhere(data):
    """Two collections in which no cell has a place: numbered cells of which nothing says where they lie, and
    times of which there is nothing besides."""
    files = {
        "cells": xr.Dataset({"psi": ("cell", np.arange(48.0), {"units": "1"}), "empty": (("row", "column"), np.full((6, 8), np.nan))}),
        "times": xr.Dataset({"time": ("time", np.arange(3), {"units": "days since 2000-01-01", "calendar": "all_leap"})}),
    }
    for name, made in files.items():
        made.to_netcdf(data / f"{name}.nc")
        ingest(data, name, data / f"{name}.nc")


@pytest.fixture(scope="module")
def served(data):
    s = Server(data)
    yield s
    s.stop()


class Limited(Server):
    """A server with a configuration."""

    def __init__(self, data, folder, limits):
        config = folder / "graticule.toml"
        config.write_text("[limits]\n" + limits)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        command = [binary(), "serve", "--data", data, "--bind", f"127.0.0.1:{self.port}", "--config", config]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self.process.poll() is None, "the server ended at once"
                time.sleep(0.05)
        raise AssertionError("the server did not listen within 10 s")


def get(url, method="GET", **headers):
    """Status, headers and body, whatever the status."""
    request = urllib.request.Request(url, method=method, headers={k.replace("_", "-"): v for k, v in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.status, reply.headers, reply.read()
    except urllib.error.HTTPError as e:
        return e.code, e.headers, e.read()


def parts_of(head, body):
    """The parts of a multipart/byteranges by where they begin."""
    message = email.message_from_bytes(b"Content-Type: " + head["Content-Type"].encode() + b"\r\n\r\n" + body)
    out = {}
    for part in message.get_payload():
        first = int(part["Content-Range"].split()[1].split("-")[0])
        out[first] = part.get_payload(decode=True)
    return out


def test_several_ranges_come_as_parts_and_near_ones_are_joined(served):
    _, _, whole = get(served.url + CHUNK)
    status, head, body = get(served.url + CHUNK, Range="bytes=5000-5099,0-9,20-29,-7")
    assert status == 206 and head["Content-Type"].startswith("multipart/byteranges; boundary=")
    assert int(head["Content-Length"]) == len(body)
    boundary = head["Content-Type"].split("=")[1].encode()
    sent = body.split(b"--" + boundary)
    assert len(sent) == 5 and sent[0] == b"" and sent[-1] == b"--\r\n"
    # The very bytes: a mail parser may touch line ends.
    for part, (first, last) in zip(sent[1:-1], [(5000, 5100), (0, 30), (len(whole) - 7, len(whole))]):
        heads, _, bytes_ = part.partition(b"\r\n\r\n")
        assert f"Content-Range: bytes {first}-{last - 1}/{len(whole)}".encode() in heads
        assert bytes_ == whole[first:last] + b"\r\n"
    assert list(parts_of(head, body)) == [5000, 0, len(whole) - 7]
    # What is joined into one is no multipart.
    status, head, body = get(served.url + CHUNK, Range="bytes=0-9,10-19")
    assert (status, head["Content-Range"], body) == (206, f"bytes 0-19/{len(whole)}", whole[:20])
    for wrong in ("bytes=99999999-,88888888-", "bytes=" + ",".join(f"{i * 1000}-{i * 1000}" for i in range(257))):
        status, head, body = get(served.url + CHUNK, Range=wrong)
        assert (status, head["Content-Range"]) == (416, f"bytes */{len(whole)}"), wrong[:40]
        assert json.loads(body)["status"] == 416
    changed = get(served.url + CHUNK, Range="bytes=0-9,5000-5099", If_Range='"old"')
    assert (changed[0], changed[2]) == (200, whole)


def test_conditions_are_answered_by_tag_and_by_date(served):
    for path in (CHUNK, "/zarr/ostia", "/zarr2/ostia/.zmetadata"):
        _, head, _ = get(served.url + path)
        tag, date = head["ETag"], head["Last-Modified"]
        assert get(served.url + path, If_None_Match=tag)[0] == 304
        status, head, body = get(served.url + path, If_Modified_Since=date)
        assert (status, body, head["ETag"]) == (304, b"", tag)
        assert get(served.url + path, If_Modified_Since=date, If_None_Match='"other"')[0] == 200
        # A rollback makes something older the latest: another date is another content.
        assert get(served.url + path, If_Modified_Since="Sun, 06 Nov 2094 08:49:37 GMT")[0] == 200
        assert get(served.url + path, If_Match=tag)[0] == 200
        status, _, body = get(served.url + path, If_Match='"other"')
        assert status == 412 and tag.strip('"') in json.loads(body)["detail"]
        assert get(served.url + path, If_Unmodified_Since="Sun, 06 Nov 1994 08:49:37 GMT")[0] == 412
    version = get(served.url + CHUNK)[1]["Graticule-Version"]
    pinned = CHUNK.replace("ostia", f"ostia@{version}")
    date = get(served.url + pinned)[1]["Last-Modified"]
    assert get(served.url + pinned, Range="bytes=0-9", If_Range=date)[0] == 206
    assert get(served.url + CHUNK, Range="bytes=0-9", If_Range=date)[0] == 200


def test_text_is_packed_as_the_client_likes_it_best_and_chunks_never(served):
    unpack = {"gzip": cramjam.gzip, "br": cramjam.brotli, "zstd": cramjam.zstd}
    for path in ("/api/collections", "/api/openapi.json", "/zarr/ostia/zarr.json", "/zarr2/ostia/.zmetadata", "/api/tables/stations?f=csv"):
        _, head, plain = get(served.url + path, Accept_Encoding="identity")
        assert head["Content-Encoding"] is None
        tags = {head["ETag"]}
        for coding, of in unpack.items():
            status, head, body = get(served.url + path, Accept_Encoding=f"identity;q=0.1, {coding}")
            assert (status, head["Content-Encoding"]) == (200, coding), path
            assert bytes(of.decompress(body)) == plain and len(body) < len(plain) / 2, (path, coding)
            assert "Accept-Encoding" in head["Vary"]
            tags.add(head["ETag"])
            assert get(served.url + path, Accept_Encoding=coding, If_None_Match=head["ETag"])[0] == 304
        assert len(tags) == 4, "each coding has a tag of its own"
    assert get(served.url + "/api/collections", Accept_Encoding="br;q=0.2, gzip;q=0.9")[1]["Content-Encoding"] == "gzip"
    assert get(served.url + "/api/collections", Accept_Encoding="br;q=0, *;q=0")[1]["Content-Encoding"] is None
    for path in (CHUNK, "/zarr2/ostia/analysed_sst/0.0.0", "/api/collections/ostia/preview.png"):
        assert get(served.url + path, Accept_Encoding="gzip, br, zstd")[1]["Content-Encoding"] is None


def test_a_chunk_that_is_not_stored_says_what_it_means(served):
    status, head, body = get(served.url + "/zarr/cells/empty/c/0/0")
    problem = json.loads(body)
    assert status == 404 and "fill value" in problem["detail"] and problem["instance"].endswith("/empty/c/0/0")
    assert "fill_value" in problem
    assert head["Content-Type"] == "application/problem+json" and head["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    "key,says",
    [
        ("zarr/cells/empty/c/0/1", 'empty is cut into 1 x 1 chunks, counted from 0; the first is "empty/c/0/0"'),
        ("zarr/ostia/analysed_sst/c/0/0/99", "analysed_sst is cut into 1 x 3 x 1 chunks,"),
        ("zarr/ostia/analysed_sst/c/0/0", "analysed_sst is cut into 1 x 3 x 1 chunks,"),
        ("zarr/ostia/analysed_sst/c/00/0/0", '"analysed_sst/c/0/0/0"'),
        ("zarr2/ostia/analysed_sst/0.0.99", '"analysed_sst/0.0.0"'),
        ("zarr2/cells/empty/7.0", '"empty/0.0"'),
        ("zarr/ostia/nowhere/c/0/0", "no node of the hierarchy"),
        ("zarr/ostia/analysed_sst/notes.txt", "no node of the hierarchy"),
    ],
)
def test_a_key_beyond_an_array_says_how_many_chunks_there_are(served, key, says):
    status, _, body = get(f"{served.url}/{key}")
    problem = json.loads(body)
    assert status == 404 and says in problem["detail"], problem
    assert "fill" not in problem["detail"] and "fill_value" not in problem


def test_a_hierarchy_has_its_media_type_where_it_is_named_and_links_to_what_describes_it(served):
    _, head, _ = get(served.url + "/zarr/ostia")
    assert head["Content-Type"] == "application/vnd.zarr; version=3" and "Accept" in head["Vary"]
    assert '</api/collections/ostia>; rel="collection"' in head["Link"] and '</zarr2/ostia>; rel="alternate"' in head["Link"]
    assert get(served.url + "/zarr/ostia", Accept="text/html,*/*")[1]["Content-Type"] == "application/json"
    assert get(served.url + "/zarr/ostia/zarr.json")[1]["Content-Type"] == "application/json"
    collection = json.loads(get(served.url + "/api/collections/ostia")[2])
    for asset in ("zarr", "zarr2"):
        declared = collection["assets"][asset]
        assert get(declared["href"], method="HEAD")[1]["Content-Type"] == declared["type"]


def test_links_of_documents_are_in_their_heads(served):
    for path, rels in {
        "/api": ["self", "service-desc", "service-doc", "conformance", "data"],
        "/api/collections?limit=1": ["self", "next"],
        "/api/collections/ostia": ["self", "items", "version-history"],
        "/api/search?limit=1": ["self", "next"],
    }.items():
        _, head, body = get(served.url + path)
        links = {link["rel"]: link["href"] for link in json.loads(body)["links"]}
        for rel in rels:
            assert f'<{links[rel]}>; rel="{rel}"' in head["Link"], (path, rel)
        assert "Link" in head["Access-Control-Expose-Headers"]


def test_a_refused_parameter_names_the_requirement_and_its_type_leads_to_words(served):
    for path, requirement in {
        "/api/collections/ostia/position?coords=POINT(1)": "ogcapi-edr-1/1.1/req/edr/coords-definition",
        "/api/collections/ostia/position?coords=POINT(1%202)&crs=EPSG:4326": "ogcapi-edr-1/1.1/req/edr/REQ_rc-crs-definition",
        "/api/collections/ostia/items?bbox=1,9,3,2": "ogcapi-features-1/1.0/req/core/fc-bbox-definition",
        "/api/collections/ostia/items?datetime=soon": "ogcapi-features-1/1.0/req/core/fc-time-definition",
        "/api/collections/ostia/items?bbbox=1": "ogcapi-features-1/1.0/req/core/query-param-unknown",
        "/api/collections?bbox=1": "ogcapi-edr-1/1.1/req/core/rc-bbox-definition",
    }.items():
        status, head, body = get(served.url + path)
        problem = json.loads(body)
        assert status == 400 and head["Content-Type"] == "application/problem+json"
        assert problem["requirement"] == "http://www.opengis.net/spec/" + requirement
        page, _, anchor = problem["type"].partition("#")
        assert f'id="{anchor}"'.encode() in get(served.url + page)[2]
    assert "requirement" not in json.loads(get(served.url + "/api/collections/nobody")[2])


def test_requests_beyond_the_limit_are_told_when_to_come_again(data, tmp_path):
    s = Limited(data, tmp_path, "requests_per_second = 2\nrequests_burst = 20\nexempt = []\n")
    try:
        seen = [get(s.url + (CHUNK if i % 2 else "/api")) for i in range(40)]
        refused = [r for r in seen if r[0] == 429]
        # The burst, and the few that came in meanwhile.
        assert 8 <= len(refused) <= 20 and {r[0] for r in seen} == {200, 429}
        _, head, body = refused[0]
        problem = json.loads(body)
        assert problem["status"] == 429 and problem["limit"] == "requests" and problem["instance"] in (CHUNK, "/api")
        assert head["RateLimit-Policy"] == '"requests";q=20;w=10' and head["RateLimit"].startswith('"requests";r=0;t=')
        assert "Retry-After" in head["Access-Control-Expose-Headers"]
        time.sleep(int(head["Retry-After"]) + 0.1)
        status, head, _ = get(s.url + CHUNK)
        assert status == 200 and head["RateLimit"].startswith('"requests";r=')
    finally:
        s.stop()


def test_bytes_are_counted_and_proxies_are_believed_only_where_they_are_trusted(data, tmp_path):
    size = len(get_size(data))
    s = Limited(
        data, tmp_path, f'bytes_per_second = {size // 4}\nbytes_burst = {size}\nexempt = []\ntrusted_proxies = ["127.0.0.1"]\n'
    )
    try:
        one, other = {"X_Forwarded_For": "192.0.2.1"}, {"X_Forwarded_For": "198.51.100.9, 192.0.2.2"}
        assert get(s.url + CHUNK, **one)[0] == 200
        assert get(s.url + CHUNK, **one)[0] == 200, "the bucket was full, and some of it came in meanwhile"
        status, head, body = get(s.url + CHUNK, **one)
        assert status == 429 and json.loads(body)["limit"] == "bytes" and 1 <= int(head["Retry-After"]) <= 9
        assert ";qu=\"content-bytes\"" in head["RateLimit-Policy"]
        assert get(s.url + CHUNK, **other)[0] == 200
        # What is not sent is not counted.
        for _ in range(20):
            assert get(s.url + CHUNK, method="HEAD", X_Forwarded_For="192.0.2.3")[0] == 200
    finally:
        s.stop()


def get_size(data):
    s = Server(data)
    try:
        return get(s.url + CHUNK)[2]
    finally:
        s.stop()


def test_nobody_is_limited_unless_it_is_configured_and_this_machine_is_exempt(served, data, tmp_path):
    assert get(served.url + "/api")[1]["RateLimit"] is None
    s = Limited(data, tmp_path, "requests_per_second = 1\nrequests_burst = 1\n")
    try:
        assert all(get(s.url + "/api")[0] == 200 for _ in range(20))
    finally:
        s.stop()


def test_a_reader_that_takes_nothing_is_let_go(data, tmp_path):
    s = Limited(data, tmp_path, 'write_timeout = "1s"\n')
    try:
        with socket.create_connection(("127.0.0.1", s.port)) as stuck:
            stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            # More than the buffers of both ends hold.
            stuck.sendall(f"GET {CHUNK} HTTP/1.1\r\nHost: a\r\n\r\n".encode() * 400)
            time.sleep(4)
            stuck.settimeout(10)
            taken = 0
            try:
                while more := stuck.recv(1 << 16):
                    taken += len(more)
            except ConnectionResetError:
                pass
        assert taken < 400 * len(get(s.url + CHUNK)[2])
    finally:
        s.stop()


def test_a_limit_that_cannot_be_meant_stops_the_start_with_its_key(data, tmp_path):
    (tmp_path / "c.toml").write_text("[limits]\nrequests_per_secnd = 5\n")
    command = [binary(), "serve", "--data", data, "--bind", "127.0.0.1:0", "--config", tmp_path / "c.toml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode != 0 and 'did you mean "limits.requests_per_second"' in done.stderr


def test_an_item_that_was_replaced_says_so_in_its_head(tmp_path):
    recipe = tmp_path / "r.toml"
    recipe.write_text('[collection]\nid = "days"\n[cube]\nconcat = "time"\nduplicates = "version"\n')
    import numpy as np
    import xarray as xr

    def day(name, value):
        cube = xr.Dataset(
            {"t": (("time", "lat", "lon"), np.full((1, 4, 8), value, "float32"))},
            {"time": ("time", [0.0], {"units": "days since 2020-01-01"}), "lat": np.arange(4.0), "lon": np.arange(8.0)},
        )
        cube.to_netcdf(tmp_path / name)
        command = [binary(), "ingest", tmp_path / name, "--recipe", recipe, "--collection", "days", "--data", tmp_path / "data"]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    for name, value in (("a.nc", 1.0), ("b.nc", 2.0)):
        done = day(name, value)
        assert done.returncode == 0, done.stderr
    s = Server(tmp_path / "data")
    try:
        status, head, body = get(s.url + "/api/collections/days/items/a.nc")
        assert status == 200 and json.loads(body)["properties"]["deprecated"] is True
        assert head["Deprecation"].startswith("@") and int(head["Deprecation"][1:]) > 1_700_000_000
        links = ", ".join(head.get_all("Link"))
        assert 'items/b.nc>; rel="successor-version"' in links and 'rel="deprecation"' in links
        assert get(s.url + "/api/collections/days/items/b.nc")[1]["Deprecation"] is None
    finally:
        s.stop()


@pytest.mark.parametrize("name", ["cells", "times"])
def test_a_collection_without_places_offers_no_pictures_and_no_queries(served, name):
    about = json.loads(get(f"{served.url}/api/collections/{name}")[2])
    assert (about["data_queries"], about["parameter_names"], about["output_formats"]) == ({}, {}, [])
    assert "thumbnail" not in about["assets"] and "renders" not in about
    pictures = {"wms", "wmts", "xyz", "tilejson", "legend", "http://www.opengis.net/def/rel/ogc/1.0/map"}
    assert not pictures & {link["rel"] for link in about["links"]}
    # Who asks all the same is told that there are no layers, not that there is no service.
    for version in ("1.1.1", "1.3.0"):
        wms = WebMapService(f"{served.url}/api/collections/{name}/wms", version=version)
        assert not wms.contents and wms.identification.title == name
    wmts = WebMapTileService(f"{served.url}/api/collections/{name}/wmts")
    assert not wmts.contents and "WebMercatorQuad" in wmts.tilematrixsets
    for path in ("map", "legend", "preview.png", "map/tiles/WebMercatorQuad/0/0/0", "map/tiles/WebMercatorQuad/0/0/0?variable=sst"):
        status, _, body = get(f"{served.url}/api/collections/{name}/{path}")
        assert status == 404 and "has no variable whose" in json.loads(body)["detail"], path


def test_schemathesis_finds_nothing(served):
    """The OpenAPI document is true: a few hundred requests, right and wrong, of every operation."""
    tool = pathlib.Path(sys.executable).with_name("schemathesis")
    assert tool.exists() or shutil.which("schemathesis"), "schemathesis is not installed: see requirements.txt"
    command = [tool if tool.exists() else "schemathesis", "run", f"{served.url}/api/openapi.json"]
    command += ["--checks", "all", "--max-examples", "8", "--phases", "examples,coverage,fuzzing", "--seed", "1", "--no-color"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    findings = done.stdout.split("= WARNINGS =")[0]
    assert done.returncode == 0, findings[-6000:]


@pytest.mark.parametrize(
    "path",
    [
        "/api",
        "/api/conformance",
        "/api/openapi.json",
        "/api/collections",
        "/api/collections/ostia",
        "/api/collections/ostia/items",
        "/api/collections/ostia/items/ostia-sst.nc",
        "/api/collections/ostia/queryables",
        "/api/collections/ostia/versions",
        "/api/collections/ostia/browse",
        "/api/collections/ostia/browse/regions",
        "/api/collections/ostia/aggregations",
        "/api/collections-queryables",
        "/api/queryables",
        "/api/aggregations",
        "/api/search",
        "/api/tables",
        "/api/recipes",
        "/api/rules",
        "/api/runs",
    ],
)
def test_documents_are_asked_for_as_json_and_nothing_else(served, path):
    _, head, _ = get(served.url + path)
    for f in ("json", "application/json", head["Content-Type"].partition(";")[0]):
        assert get(f"{served.url}{path}?f={f}")[0] == 200, f
    for query, said in (("f=html", "expected json"), ("f=json&f=json", "given twice"), ("fomat=json", "no such parameter")):
        status, _, body = get(f"{served.url}{path}?{query}")
        assert status == 400 and said in json.loads(body)["detail"], body


def test_an_address_that_ends_with_a_slash_is_sent_on(served):
    for path in ("/api", "/api/collections", "/api/search", "/api/collections/ostia/items", "/api/nothing"):
        connection = http.client.HTTPConnection("127.0.0.1", served.port)
        for method in ("GET", "HEAD", "POST"):
            connection.request(method, f"{path}/?limit=1")
            reply = connection.getresponse()
            assert (reply.status, reply.headers["Location"], reply.read()) == (308, f"{path}?limit=1", b""), path
            assert reply.headers["Access-Control-Allow-Origin"] == "*"
    assert json.loads(get(f"{served.url}/api/collections/?limit=1")[2])["numberReturned"] == 1
    assert get(f"{served.url}/api/nothing/")[0] == 404
    # A store's folder is a key without an object, and the page is where it was.
    for path in ("/zarr/ostia/analysed_sst/", "/zarr2/ostia/analysed_sst/", "/embed/"):
        connection = http.client.HTTPConnection("127.0.0.1", served.port)
        connection.request("GET", path)
        assert connection.getresponse().status != 308, path


def test_the_page_about_the_api_is_asked_for_as_html(served):
    assert get(f"{served.url}/api/docs?f=html")[0] == 200
    status, _, body = get(f"{served.url}/api/docs?f=json")
    assert status == 400 and "expected html" in json.loads(body)["detail"]
