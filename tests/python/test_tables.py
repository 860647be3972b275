"""Tables as a person with pandas' patience and no pandas gets them: CSV and JSON over HTTP."""

import csv
import io
import json
import math
import statistics
import subprocess
import urllib.request

import pytest

from conftest import Server, binary, collection_of, references, sample_data

TABLES = references().get("tabular", [])


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    data = tmp_path_factory.mktemp("tables")
    for table in TABLES:
        file = table["file"]
        # Two files of one station have one stem.
        subprocess.run(
            [binary(), "ingest", sample_data() / file, "--collection", name_of(file), "--data", data],
            check=True,
            capture_output=True,
        )
    served = Server(data)
    yield served
    served.stop()


def name_of(file):
    return file.split("/")[-1].replace(".", "_")


def get(server, path):
    with urllib.request.urlopen(server.url + path) as answer:
        return answer.read().decode()


def rows_of(server, file):
    return list(csv.reader(io.StringIO(get(server, f"/api/tables/{name_of(file)}?f=csv"))))


def close(found, expected):
    return math.isclose(found, expected, rel_tol=1e-6, abs_tol=1e-6)


@pytest.mark.skipif(not TABLES, reason="SKIPPED: no sample data")
@pytest.mark.parametrize("table", TABLES, ids=lambda t: t["file"])
def test_a_served_table_has_the_known_values(server, table):
    header, *rows = rows_of(server, table["file"])
    assert len(rows) == table["rows"]
    assert header[: len(table.get("header", []))] == table.get("header", [])
    numeric = {**table.get("numeric", {}), **{k: v for k, v in table.items() if isinstance(v, dict) and "size" in v}}
    for name, expected in numeric.items():
        column = 3 if name == "col3_sol_lon" else header.index(name)
        values = [float(r[column]) for r in rows if r[column]]
        assert len(values) == expected["valid"], name
        if values:
            found = {"min": min(values), "max": max(values), "mean": statistics.fmean(values), "sum": math.fsum(values),
                     "std": statistics.pstdev(values)}
            for key, value in found.items():
                assert close(value, expected[key]), (name, key, value)


@pytest.mark.skipif(not TABLES, reason="SKIPPED: no sample data")
def test_pages_of_json_are_the_whole_table_once(server):
    path, seen = "/api/tables/ndbc_41002_txt?limit=1000&select=time&order=time", []
    while path:
        page = json.loads(get(server, path))
        seen += [r["time"] for r in page["rows"]]
        path = next((l["href"].removeprefix(server.url) for l in page["links"] if l["rel"] == "next"), None)
    assert len(seen) == 6560
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == ("2018-06-17T00:00:00Z", "2018-08-01T15:10:00Z")
