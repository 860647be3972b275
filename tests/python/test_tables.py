"""Tables as a person with pandas' patience and no pandas gets them: CSV and JSON over HTTP."""

import json
import urllib.request

import pytest

from conftest import sample_data


def get(server, path):
    with urllib.request.urlopen(server.url + path) as answer:
        return answer.read().decode()


@pytest.mark.skipif(not sample_data(), reason="SKIPPED: sample data not found; set GRATICULE_SAMPLE_DATA")
def test_pages_of_json_are_the_whole_table_once(server):
    path, seen = "/api/tables/ndbc_41002_txt?limit=1000&select=time&order=time", []
    while path:
        page = json.loads(get(server, path))
        seen += [r["time"] for r in page["rows"]]
        path = next((l["href"].removeprefix(server.url) for l in page["links"] if l["rel"] == "next"), None)
    assert len(seen) == 6560
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == ("2018-06-17T00:00:00Z", "2018-08-01T15:10:00Z")
