use super::*;
use crate::ingest::duplicates::Duplicates;

fn parse(text: &str) -> anyhow::Result<Recipe> {
    Recipe::parse(text, Path::new("/recipes"))
}

fn error(text: &str) -> String {
    format!("{:#}", parse(text).unwrap_err())
}

#[test]
fn the_recipe_of_the_contract_is_read() {
    let r = parse(
        r#"
[collection]
id = "oisst"
title = "NOAA OISST v2.1 daily"
license = "CC0-1.0"
providers = [{ name = "NOAA NCEI", roles = ["producer"], url = "https://www.ncei.noaa.gov" }]

[source]
pattern = "oisst-avhrr-v02r01.{time:%Y%m%d}.nc"
root = "./incoming"
concurrency = 4
retries = { attempts = 5, backoff = "2s" }

[cube]
concat = "time"
variables = ["sst", "ice"]
chunks = { time = 1, latitude = 256, longitude = 256 }
shards = { time = 1, latitude = 1024, longitude = 1024 }
codec = "zstd:5+shuffle"
pyramid = true
series = true
duplicates = "replace"

[rule]
cron = "0 1 * * *"
"#,
    )
    .unwrap();
    assert_eq!(r.collection.id.as_deref(), Some("oisst"));
    assert_eq!(r.source.root.as_deref(), Some("/recipes/./incoming"));
    assert_eq!(r.source.retries, source::Retries::default());
    assert_eq!(r.cube.shards["latitude"], 1024);
    assert_eq!((r.cube.duplicates, r.cube.series), (Duplicates::Replace, true));
    assert_eq!(r.rule, Some(Rule::Cron("0 1 * * *".parse().unwrap())));
    assert_eq!(r.root_attributes()["providers"][0]["name"], "NOAA NCEI");
}

#[test]
fn an_unknown_key_names_the_nearest_at_every_depth() {
    for (text, said) in [
        ("[cubes]", "unknown key \"cubes\"; did you mean \"cube\"?"),
        ("[cube]\nchunk = {}", "unknown key \"cube.chunk\"; did you mean \"cube.chunks\"?"),
        (
            "[source]\nretries = { atempts = 3 }",
            "unknown key \"source.retries.atempts\"; did you mean \"source.retries.attempts\"?",
        ),
        (
            "[collection]\nproviders = [{ name = \"a\", role = [] }]",
            "unknown key \"collection.providers[0].role\"; did you mean \"collection.providers[0].roles\"?",
        ),
        (
            "[quality.sst]\ngros_range = {}",
            "unknown key \"quality.sst.gros_range\"; did you mean \"quality.sst.gross_range\"?",
        ),
    ] {
        assert_eq!(error(text), said);
    }
}

#[test]
fn a_value_that_cannot_be_meant_says_where_what_was_expected_and_what_was_found() {
    for (text, said) in [
        (
            "[cube]\nchunks = { time = 0 }",
            "cube.chunks.time: expected a whole number from 1 to 16777216, found 0",
        ),
        (
            "[cube]\nchunks = { lat = 100 }\nshards = { lat = 250 }",
            "cube.shards.lat: 250 is no multiple of the chunk's 100; expected such as 300",
        ),
        ("[cube]\ncodec = \"zst\"", "cube.codec: \"zst\": \"zst\" is not known; did you mean \"zstd\"?"),
        (
            "[cube]\nduplicates = \"keep\"",
            "cube.duplicates: expected \"replace\", \"skip\", \"version\" or \"error\", found \"keep\"",
        ),
        ("[cube]\npyramid = 3", "cube.pyramid: expected true, false, \"average\" or \"nearest\", found 3"),
        (
            "[source]\nstart = 2020-01-02\nend = 2020-01-01",
            "source.end: expected a time that is not before start, found 2020-01-01",
        ),
        (
            "[source]\nroot = \"ftp://x\"",
            "source.root: expected a folder, or a URL of http://, https:// or s3://, found \"ftp://x\"",
        ),
        (
            "[quality.sst]\ngross_range = { suspect = [0, 50], fail = [1, 40] }",
            "quality.sst.gross_range.suspect: expected a span within that of fail, found [0, 50]",
        ),
    ] {
        assert_eq!(error(text), said);
    }
}

#[test]
fn a_range_has_both_ends() {
    let r = parse("[source]\nstart = 2020-02-28\nend = \"2020-03-01\"\nstep = \"1d\"").unwrap();
    let days: Vec<String> =
        r.source.range.unwrap().instants().map(|t| t.to_string()[..10].to_owned()).collect();
    assert_eq!(days, ["2020-02-28", "2020-02-29", "2020-03-01"]);
}

#[test]
fn a_rule_is_one_that_can_be_followed_or_is_refused_with_the_reason() {
    let with =
        |rule: &str, source: &str| format!("[collection]\nid = \"c\"\n[source]\n{source}\n[rule]\n{rule}");
    let folder = "root = \"in\"\npattern = \"*.nc\"";
    let r = parse(&with("watch = true", folder)).unwrap();
    assert_eq!(r.rule, Some(Rule::Watch(PathBuf::from("/recipes/in"))));
    let beside = parse(&with("watch = true", "pattern = \"*.nc\"")).unwrap();
    assert_eq!(beside.rule, Some(Rule::Watch(PathBuf::from("/recipes"))));
    assert_eq!(parse(&with("watch = false", folder)).unwrap().rule, None);
    for (text, said) in [
        (with("event = \"s3:ObjectCreated\"", folder), "rule.event: this server takes no notices of buckets"),
        (with("cron = \"61 * * * *\"", folder), "rule.cron: minute \"61\": expected numbers from 0 to 59"),
        (
            with("cron = \"0 1 * * *\"\nwatch = true", folder),
            "rule.cron and rule.watch: expected one of them",
        ),
        (with("watch = true", "root = \"https://h.org/d/\""), "rule.watch: expected a folder in source.root"),
        (with("watch = true", ""), "rule.watch: which folder?"),
        ("[source]\nroot = \"in\"\n[rule]\nwatch = true".to_owned(), "needs collection.id"),
        (with("crom = \"\"", folder), "did you mean \"rule.cron\"?"),
    ] {
        let e = error(&text);
        assert!(e.contains(said), "{text}: {e}");
    }
}
