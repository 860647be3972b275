"""How quick a search is among many items: p50 and p95 of the requests of the peers' benchmark, and of others.

    python tests/bench/search.py GRATICULE COUNT [REQUESTS]

Ingests a small file into a new directory, copies its item COUNT times in the catalog (boxes of a degree all over
the Earth, a day each through five years), serves that and asks. Only the catalog is filled: what an item refers to is
the one file. Times are of the whole request over one kept connection, read and parsed.
"""

import http.client
import json
import pathlib
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

BINARY, COUNT = sys.argv[1], int(sys.argv[2])
REQUESTS = int(sys.argv[3]) if len(sys.argv) > 3 else 400
DEMO = pathlib.Path(__file__).resolve().parents[2] / "assets" / "demo" / "ncep-climatology.nc"
EPOCH, DAY = 1577836800, 86400  # 2020-01-01
SCALE = 1e6


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def fill(catalog):
    r = random.Random(1)
    with sqlite3.connect(catalog) as c:
        c.row_factory = sqlite3.Row
        row = dict(c.execute("SELECT * FROM items WHERE collection = 'bench'").fetchone())
        row.pop("rowid", None)
        names = list(row)
        insert = f"INSERT INTO items ({','.join(names)}) VALUES ({','.join('?' * len(names))})"
        tree = "INSERT INTO items_bbox (rowid, west, east, south, north, start, end) VALUES (?, ?, ?, ?, ?, ?, ?)"
        c.execute("DELETE FROM items_bbox")
        c.execute("DELETE FROM items")
        reach = next(k for k in range(64) if 2**k >= DAY)
        for i in range(COUNT):
            west, south, start = r.uniform(-180, 179), r.uniform(-90, 89), EPOCH + DAY * r.randrange(5 * 365)
            row |= {"name": f"item-{i:07}", "checksum": f"{i:064x}", "start_time": stamp(start), "end_time": stamp(start + DAY)}
            row |= {"start_secs": start, "end_secs": start + DAY, "west": west, "south": south, "east": west + 1, "north": south + 1}
            row |= {"reach": reach}
            rowid = c.execute(insert, [row[n] for n in names]).lastrowid
            c.execute(tree, (rowid, west, west + 1, south, south + 1, start / SCALE, (start + DAY) / SCALE))


def main():
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder)
        ingest = [BINARY, "ingest", DEMO, "--collection", "bench", "--data", data]
        subprocess.run(ingest, check=True, capture_output=True)
        began = time.time()
        fill(data / "catalog.sqlite")
        print(f"{COUNT} items in {time.time() - began:.0f} s")
        server = subprocess.Popen([BINARY, "serve", "--data", data, "--bind", "127.0.0.1:8399"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            next(line for line in server.stdout if "ready" in line)
            ask()
        finally:
            server.terminate()
            server.wait()


def ask():
    connection = http.client.HTTPConnection("127.0.0.1", 8399)
    r = random.Random(11)

    def timed(name, make):
        times, found = [], 0
        for _ in range(REQUESTS):
            body = json.dumps(make())
            began = time.perf_counter()
            connection.request("POST", "/api/search", body, {"content-type": "application/json"})
            answer = connection.getresponse()
            read = json.loads(answer.read())
            times.append((time.perf_counter() - began) * 1e3)
            assert answer.status == 200, read
            found += len(read["features"])
        times.sort()
        print(f"{name:36} p50 {statistics.median(times):6.2f} ms  p95 {times[int(len(times) * 0.95)]:6.2f} ms  {found / REQUESTS:5.1f} items")

    def box(wide, high):
        x, y = r.randrange(-180, 180 - wide), r.randrange(-80, 80 - high)
        return [x, y, x + wide, y + high]

    def peers():
        x, y, year = r.randrange(-180, 140), r.randrange(-80, 60), r.randrange(2020, 2025)
        bbox = [x, y, x + r.choice([2, 10, 40]), y + r.choice([2, 8, 20])]
        times = f"{year}-{r.randrange(1, 10):02d}-01T00:00:00Z/{year}-12-31T00:00:00Z"
        return {"collections": ["bench"], "bbox": bbox, "datetime": times, "limit": 10}

    timed("as the peers' benchmark asks", peers)
    timed("box of 5 degrees", lambda: {"bbox": box(5, 5), "limit": 10})
    timed("box of 60 degrees and a day", lambda: {"bbox": box(60, 60), "datetime": "2021-03-01T00:00:00Z/2021-03-02T00:00:00Z", "limit": 10})
    timed("a day", lambda: {"datetime": "2021-03-01T00:00:00Z/2021-03-02T00:00:00Z", "limit": 10})
    timed("the newest of a collection", lambda: {"collections": ["bench"], "sortby": [{"field": "datetime", "direction": "desc"}], "limit": 10})
    timed("CQL2 on a property", lambda: {"filter-lang": "cql2-text", "filter": f"id = 'item-{r.randrange(COUNT):07}'", "limit": 10})


main()
