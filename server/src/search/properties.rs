//! What of an item or of a collection can be asked for, sorted by and filtered with.

/// Of what values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Number,
    /// Seconds since 1970.
    Time,
    Bool,
    Geometry,
    /// Of a property that nothing has.
    Nothing,
}

/// A queryable (OGC API Features part 3, requirement "queryables").
#[derive(Debug, PartialEq)]
pub struct Property {
    pub name: &'static str,
    pub kind: Kind,
    /// Over the row `i` of what has it.
    pub sql: &'static str,
    pub description: &'static str,
}

/// The properties of whatever is searched.
#[derive(Debug)]
pub struct Queryables(&'static [Property]);

const fn property(name: &'static str, kind: Kind, sql: &'static str, description: &'static str) -> Property {
    Property { name, kind, sql, description }
}

/// When an item is: its first instant, or when it was published where its grid has no time.
pub const DATETIME: &str = "coalesce(i.start_secs, i.published_micros / 1e6)";
/// Its last.
pub const END: &str = "coalesce(i.end_secs, i.published_micros / 1e6)";

/// Of items, over the rows of their table.
pub static ITEMS: Queryables = Queryables(&[
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
]);

/// Of collections, over the rows that `catalog::collections` makes of them.
pub static COLLECTIONS: Queryables = Queryables(&[
    property("id", Kind::Text, "i.id", "Id of the collection"),
    property("title", Kind::Text, "i.title", "Its title"),
    property("description", Kind::Text, "i.description", "Its description"),
    property("keywords", Kind::Text, "i.keywords", "Its keywords, with a comma and a space between them"),
    property("license", Kind::Text, "i.license", "Its licence: an SPDX identifier, or other"),
    property("geometry", Kind::Geometry, "", "The box of its spatial extent"),
    property("datetime", Kind::Time, "i.start_secs", "The first instant of its temporal extent"),
    property("start_datetime", Kind::Time, "i.start_secs", "The first instant of its temporal extent"),
    property("end_datetime", Kind::Time, "i.end_secs", "The last instant of its temporal extent"),
    property("version", Kind::Text, "i.version", "Its latest version"),
    property("updated", Kind::Time, "i.updated_secs", "When that was published"),
]);

/// What nothing has: it is null wherever it is asked for, as STAC API's filters want it.
pub static NOTHING: Property = property("", Kind::Nothing, "NULL", "");

impl Queryables {
    pub fn iter(&self) -> impl Iterator<Item = &'static Property> + use<> {
        self.0.iter()
    }

    /// By its name, which may be said from the item's root: `properties.datetime`. Another name is
    /// [`NOTHING`].
    ///
    /// # Errors
    /// A name that is nearly one of those there are: which.
    pub fn find(&self, name: &str) -> Result<&'static Property, String> {
        let (short, near) = self.nearest(name);
        match self.iter().find(|p| p.name == short) {
            Some(p) => Ok(p),
            None if near.1 > 0.9 => Err(format!("no property {:?}; did you mean {:?}?", cut(name), near.0)),
            None => Ok(&NOTHING),
        }
    }

    /// The same, where it must be one that there is.
    ///
    /// # Errors
    /// There is none; which there are, and which is nearest.
    pub fn known(&self, name: &str) -> Result<&'static Property, String> {
        let (short, near) = self.nearest(name);
        self.iter().find(|p| p.name == short).ok_or_else(|| {
            let near = if near.1 > 0.75 { format!("; did you mean {:?}?", near.0) } else { String::new() };
            let all: Vec<&str> = self.iter().map(|p| p.name).collect();
            format!("no property {:?}; there are {}{near}", cut(name), all.join(", "))
        })
    }

    /// The name without its root, and the known one that is most like it.
    fn nearest<'a>(&self, name: &'a str) -> (&'a str, (&'static str, f64)) {
        let short = name.strip_prefix("properties.").unwrap_or(name);
        let like = self.iter().map(|p| (p.name, strsim::jaro_winkler(p.name, short)));
        (short, like.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or(("", 0.0)))
    }
}

/// Of what a request says, as much as a message shows.
pub fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}
