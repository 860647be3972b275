"""Makes parameters1.tsv and parameters2.tsv from the concept files of ecCodes.

    git clone https://github.com/ecmwf/eccodes
    python make.py eccodes/definitions

Source: ecCodes, (C) Copyright 2005- ECMWF, Apache License 2.0. Of its concepts
`shortName`, `name`, `units` and `cfName` are joined; concepts are taken as they
are, only the names of the keys in conditions are shortened (CODES). Parameters of
Code Table 4.2 that no concept names come without a short name.
"""

import re
import sys
from pathlib import Path

# WMO Common Code Table C-11, for the centres whose local concepts are taken.
CENTRES2 = {"*": "", "7": "kwbc", "98": "ecmf", "78": "edzw", "74": "egrr", "85": "lfpw", "82": "eswi",
            "86": "efkl", "94": "ekmi"}
CENTRES1 = {"*": "", "7": "kwbc", "98": "ecmf", "78": "edzw", "82": "eswi", "34": "rjtd", "1": "ammc",
            "85": "lfpw", "86": "efkl", "96": "eidb", "88": "enmi"}
CENTRES1.pop("96")  # an internal table, not a centre
CODES = {
    "typeOfFirstFixedSurface": "t1", "scaleFactorOfFirstFixedSurface": "f1",
    "scaledValueOfFirstFixedSurface": "v1", "typeOfSecondFixedSurface": "t2",
    "scaleFactorOfSecondFixedSurface": "f2", "scaledValueOfSecondFixedSurface": "v2",
    "typeOfStatisticalProcessing": "stat", "typeOfGeneratingProcess": "gen",
    "constituentType": "chem", "localTablesVersion": "local", "aerosolType": "aero",
    "is_chemical": "ischem", "is_aerosol": "isaero", "is_aerosol_optical": "isopt",
    "is_chemical_srcsink": "issrc", "sourceSinkChemicalPhysicalProcess": "src",
    "typeOfDistributionFunction": "dist", "modeNumber": "mode", "probabilityType": "prob",
    "scaledValueOfLowerLimit": "vlo", "scaleFactorOfLowerLimit": "flo",
    "scaledValueOfFirstWavelength": "vw1", "scaleFactorOfFirstWavelength": "fw1",
    "scaledValueOfSecondWavelength": "vw2", "scaleFactorOfSecondWavelength": "fw2",
    "typeOfWavelengthInterval": "tw", "typeOfSizeInterval": "ts", "scaledValueOfFirstSize": "vs1",
    "scaleFactorOfFirstSize": "fs1", "scaledValueOfSecondSize": "vs2", "scaleFactorOfSecondSize": "fs2",
    "indicatorOfTypeOfLevel": "lt", "level": "lv", "timeRangeIndicator": "tri", "topLevel": "top",
    "bottomLevel": "bot",
}
ENTRY = re.compile(r"'([^']*)'\s*=\s*\{([^}]*)\}", re.S)
PAIR = re.compile(r"(\w+)\s*=\s*([^;]*?)\s*;")


def concept(path):
    if not path.is_file():
        return []
    text = re.sub(r"#.*", "", path.read_text())
    return [(m[1], dict(PAIR.findall(m[2]))) for m in ENTRY.finditer(text)]


def rows(root, centre, keys):
    short, names, units = (concept(root / f"{n}.def") for n in ("shortName", "name", "units"))
    standard = concept(root / "cfName.def")
    named = {tuple(sorted(c.items())): n for n, c in names}
    united = {tuple(sorted(c.items())): n for n, c in units}
    for name, conditions in short:
        if not all(k in conditions for k in keys):
            continue
        rest = {k: v for k, v in conditions.items() if k not in keys}
        plain = all(re.fullmatch(r"missing\(\)|-?\d+", v) for v in rest.values())
        if any(k not in CODES for k in rest) or not plain or name in ("~", "unknown", "Reserved", "reserved"):
            continue
        fits = [(len(c), n) for n, c in standard if c.items() <= conditions.items()]
        same = tuple(sorted(conditions.items()))
        long_name = named.get(same, "")
        if long_name.lower() in ("experimental product", "reserved"):
            long_name = ""
        condition = lambda k, v: f"{CODES[k]}={'x' if v == 'missing()' else v}"
        yield "\t".join([
            centre, *(conditions[k] for k in keys), ",".join(condition(k, v) for k, v in rest.items()),
            name, {"~": ""}.get(united.get(same, ""), united.get(same, "")), long_name,
            max(fits)[1] if fits else "",
        ])


def code_table(root, centre, tables, taken):
    """Code Table 4.2: names and units of parameters that have no short name."""
    for path in sorted(tables.glob("4.2.*.table")):
        parts = path.name.split(".")
        if len(parts) != 5 or not (parts[2] + parts[3]).isdigit():
            continue
        for line in path.read_text().splitlines():
            m = re.match(r"(\d+) \S+ (.*?)(?: \(([^()]*)\))?\s*$", line)
            if not m or re.match(r"(?i)(reserved|missing|unknown|experimental)", m[2]) or m[1] == "255":
                continue
            key = [centre, parts[2], parts[3], m[1]]
            if tuple(key[1:]) not in taken:
                yield "\t".join([*key, "", "", m[3] or "", m[2].strip(), ""])


def unanimous(lines):
    """A local parameter gets the standard name that its short name, units and name have elsewhere."""
    known = {}
    for line in lines:
        *_, short, units, name, standard = line.split("\t")
        if standard:
            known.setdefault((short, units, name), set()).add(standard)
    out = []
    for line in lines:
        *rest, short, units, name, standard = line.split("\t")
        found = sorted(known.get((short, units, name), ()))
        out.append("\t".join([*rest, short, units, name, standard or (found[0] if len(found) == 1 else "")]))
    return out


def write(out, centres, root, keys, head):
    lines = []
    for centre, folder in centres.items():
        where = root / "localConcepts" / folder if folder else root
        lines += rows(where, centre, keys)
        if len(keys) == 3:
            named = {tuple(l.split("\t")[1:4]) for l in lines if l.split("\t")[0] in ("*", centre) and not l.split("\t")[4]}
            newest = max((p for p in (root / "tables").iterdir() if p.name.isdigit()), key=lambda p: int(p.name))
            tables = root / "tables" / "local" / folder / "1" if folder else newest
            lines += code_table(root, centre, tables, named)
    lines = unanimous(list(dict.fromkeys(lines)))
    lines.sort(key=lambda l: [int(x) for x in l.split("\t")[1:1 + len(keys)]])
    Path(out).write_text(head + "\n".join(lines) + "\n")
    print(out, len(lines))


if __name__ == "__main__":
    root = Path(sys.argv[1])
    note = "# From ecCodes definitions (C) ECMWF, Apache-2.0; made by make.py. Columns: "
    write("parameters2.tsv", CENTRES2, root / "grib2", ["discipline", "parameterCategory", "parameterNumber"],
          note + "centre, discipline, category, number, conditions, short name, units, name, standard name\n")
    write("parameters1.tsv", CENTRES1, root / "grib1", ["table2Version", "indicatorOfParameter"],
          note + "centre, table, indicator, conditions, short name, units, name, standard name\n")
