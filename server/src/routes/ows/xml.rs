//! XML, written: elements in order, every text escaped.

pub struct Xml(String);

impl Xml {
    pub fn new() -> Self {
        Self("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned())
    }

    pub fn finish(self) -> String {
        self.0
    }

    /// What is not an element, such as a document type.
    pub fn raw(&mut self, text: &str) {
        self.0.push_str(text);
    }

    fn start(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.0.push('<');
        self.0.push_str(name);
        for (key, value) in attributes {
            self.0.push(' ');
            self.0.push_str(key);
            self.0.push_str("=\"");
            self.text(value);
            self.0.push('"');
        }
    }

    fn text(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&apos;"),
                '\t' | '\n' | '\r' => self.0.push(c),
                // XML 1.0 section 2.2 has no place for the other controls.
                c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
                c => self.0.push(c),
            }
        }
    }

    pub fn node(&mut self, name: &str, attributes: &[(&str, &str)], inside: impl FnOnce(&mut Self)) {
        self.start(name, attributes);
        self.0.push('>');
        inside(self);
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push_str(">\n");
    }

    pub fn leaf(&mut self, name: &str, text: &str) {
        self.node(name, &[], |x| x.text(text));
    }

    /// An element of one text with attributes.
    pub fn said(&mut self, name: &str, attributes: &[(&str, &str)], text: &str) {
        self.node(name, attributes, |x| x.text(text));
    }

    pub fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.start(name, attributes);
        self.0.push_str("/>\n");
    }
}

#[cfg(test)]
mod tests {
    use super::Xml;

    #[test]
    fn whatever_a_file_says_of_itself_stays_text() {
        let mut x = Xml::new();
        x.said("Title", &[("a", "\"&'")], "<b>\u{0}\u{7}&amp;\n");
        let body = x.finish();
        assert!(body.ends_with("<Title a=\"&quot;&amp;&apos;\">&lt;b&gt;&amp;amp;\n</Title>\n"), "{body}");
    }
}
