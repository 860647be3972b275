//! What of an item can be asked for, sorted by and filtered with.

/// Of what values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Number,
    /// Seconds since 1970.
    Time,
    Bool,
    Geometry,
}

/// A queryable of every collection (OGC API Features part 3, requirement "queryables").
#[derive(Debug, PartialEq)]
pub struct Property {
    pub name: &'static str,
    pub kind: Kind,
    /// Over the row `i` of the table of items.
    pub sql: &'static str,
    pub description: &'static str,
}

const fn property(name: &'static str, kind: Kind, sql: &'static str, description: &'static str) -> Property {
    Property { name, kind, sql, description }
}

/// When an item is: its first instant, or when it was published where its grid has no time.
pub const DATETIME: &str = "coalesce(i.start_secs, i.published_micros / 1e6)";
/// Its last.
pub const END: &str = "coalesce(i.end_secs, i.published_micros / 1e6)";

pub static PROPERTIES: [Property; 12] = [
    property("id", Kind::Text, "i.name", "Id of the item"),
    property("collection", Kind::Text, "i.collection", "Id of its collection"),
    property("geometry", Kind::Geometry, "", "Footprint"),
    property(
        "datetime",
        Kind::Time,
        DATETIME,
        "Its first instant; when it was published, where its grid has no time",
    ),
    property("start_datetime", Kind::Time, "i.start_secs", "Its first instant"),
    property("end_datetime", Kind::Time, "i.end_secs", "Its last instant"),
    property("created", Kind::Time, "i.published_micros / 1e6", "When it was published"),
    property("updated", Kind::Time, "i.published_micros / 1e6", "When it was published"),
    property("version", Kind::Text, "i.version", "The version of the collection that it came with"),
    property(
        "deprecated",
        Kind::Bool,
        "(i.superseded_by IS NOT NULL)",
        "Whether another item took its place",
    ),
    property("graticule:bytes", Kind::Number, "i.bytes", "Size of the file that it was made from"),
    property("graticule:checksum", Kind::Text, "('sha256:' || i.checksum)", "Checksum of that file"),
];

impl Property {
    /// By its name, which may be said from the item's root: `properties.datetime`.
    ///
    /// # Errors
    /// There is none; which there are, and which is nearest.
    pub fn find(name: &str) -> Result<&'static Self, String> {
        let short = name.strip_prefix("properties.").unwrap_or(name);
        PROPERTIES.iter().find(|p| p.name == short).ok_or_else(|| {
            let near = PROPERTIES
                .iter()
                .map(|p| p.name)
                .max_by(|a, b| strsim::jaro_winkler(a, short).total_cmp(&strsim::jaro_winkler(b, short)));
            let near = near.filter(|n| strsim::jaro_winkler(n, short) > 0.75);
            let near = near.map_or(String::new(), |n| format!("; did you mean {n:?}?"));
            let all: Vec<&str> = PROPERTIES.iter().map(|p| p.name).collect();
            format!("no property {:?}; there are {}{near}", cut(name), all.join(", "))
        })
    }
}

/// Of what a request says, as much as a message shows.
pub fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}
