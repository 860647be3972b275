//! The part of Jinja that kerchunk's templates use: `{{ ... }}` with names, whole numbers, text,
//! arithmetic, and calls of templates (fsspec's ReferenceFileSystem, "Templates" and "gen").

use std::collections::BTreeMap;

/// Templates within templates, and brackets within brackets.
const MAX_DEPTH: usize = 8;
/// A rendered text may have so many bytes.
const MAX_TEXT: usize = 8192;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Term {
    Number(i64),
    Text(String),
}

impl Term {
    fn to_text(&self) -> String {
        match self {
            Self::Number(n) => n.to_string(),
            Self::Text(t) => t.clone(),
        }
    }
}

/// Templates and the values of names.
pub(super) struct Scope<'a> {
    pub(super) templates: &'a BTreeMap<String, String>,
    pub(super) names: BTreeMap<String, Term>,
}

impl Scope<'_> {
    /// `text` with every `{{ ... }}` replaced by what it means.
    ///
    /// # Errors
    /// An unknown name, an expression that is none, or one that goes on for ever.
    pub(super) fn render(&self, text: &str) -> Result<String, String> {
        self.render_at(text, 0)
    }

    /// As [`Scope::render`], read as a whole number.
    pub(super) fn number(&self, text: &str) -> Result<i64, String> {
        let text = self.render(text)?;
        text.trim().parse().map_err(|_| format!("{text:?} is no whole number"))
    }

    fn render_at(&self, text: &str, depth: usize) -> Result<String, String> {
        if depth > MAX_DEPTH {
            return Err(format!("templates name each other more than {MAX_DEPTH} deep"));
        }
        let (mut out, mut rest) = (String::new(), text);
        while let Some((before, after)) = rest.split_once("{{") {
            let (inside, after) =
                after.split_once("}}").ok_or_else(|| format!("{text:?}: {{{{ without }}}}"))?;
            out.push_str(before);
            let mut parser = Parser { scope: self, rest: inside, depth };
            let term = parser.sum(0)?;
            if !parser.rest.trim().is_empty() {
                return Err(format!("{{{{{inside}}}}}: {:?} is not understood", parser.rest.trim()));
            }
            out.push_str(&term.to_text());
            if out.len() > MAX_TEXT {
                return Err(format!("a template becomes longer than {MAX_TEXT} bytes"));
            }
            rest = after;
        }
        out.push_str(rest);
        if out.len() > MAX_TEXT {
            return Err(format!("a template becomes longer than {MAX_TEXT} bytes"));
        }
        Ok(out)
    }
}

struct Parser<'a, 's> {
    scope: &'a Scope<'s>,
    rest: &'a str,
    depth: usize,
}

impl<'a> Parser<'a, '_> {
    fn take(&mut self, token: &str) -> bool {
        let rest = self.rest.trim_start();
        match rest.strip_prefix(token) {
            Some(after) => {
                self.rest = after;
                true
            }
            None => false,
        }
    }

    fn word(&mut self, wanted: fn(char) -> bool) -> Option<&'a str> {
        let rest = self.rest.trim_start();
        let end = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            return None;
        }
        self.rest = after;
        Some(word)
    }

    fn sum(&mut self, nested: usize) -> Result<Term, String> {
        if nested > MAX_DEPTH {
            return Err(format!("brackets are nested more than {MAX_DEPTH} deep"));
        }
        let mut left = self.product(nested)?;
        loop {
            let plus = self.take("+");
            if !plus && !self.take("-") {
                return Ok(left);
            }
            let right = self.product(nested)?;
            left = match (plus, left, right) {
                (true, Term::Text(a), b) => Term::Text(a + &b.to_text()),
                (plus, a, b) => numbers(a, b, if plus { i64::checked_add } else { i64::checked_sub })?,
            };
        }
    }

    fn product(&mut self, nested: usize) -> Result<Term, String> {
        let mut left = self.atom(nested)?;
        loop {
            let apply = if self.take("*") {
                i64::checked_mul
            } else if self.take("//") {
                i64::checked_div_euclid
            } else if self.take("%") {
                i64::checked_rem_euclid
            } else {
                return Ok(left);
            };
            left = numbers(left, self.atom(nested)?, apply)?;
        }
    }

    fn atom(&mut self, nested: usize) -> Result<Term, String> {
        if self.take("(") {
            let inner = self.sum(nested + 1)?;
            return if self.take(")") { Ok(inner) } else { Err("( without )".to_owned()) };
        }
        if self.take("-") {
            return numbers(Term::Number(0), self.atom_of_sign(nested)?, i64::checked_sub);
        }
        for quote in ["'", "\""] {
            if self.take(quote) {
                let (text, after) =
                    self.rest.split_once(quote).ok_or("text without its closing quotation mark")?;
                self.rest = after;
                return Ok(Term::Text(text.to_owned()));
            }
        }
        if let Some(digits) = self.word(|c| c.is_ascii_digit()) {
            return digits.parse().map(Term::Number).map_err(|_| format!("{digits} is too large"));
        }
        let name = self.word(|c| c.is_ascii_alphanumeric() || c == '_');
        let name = name.ok_or_else(|| format!("{:?} is not understood", self.rest))?;
        let mut names = self.scope.names.clone();
        if self.take("(") {
            while !self.take(")") {
                let key = self.word(|c| c.is_ascii_alphanumeric() || c == '_').unwrap_or_default().to_owned();
                if key.is_empty() || !self.take("=") || names.len() > 64 {
                    return Err(format!("{name}(...) is not understood"));
                }
                let value = self.sum(nested + 1)?;
                names.insert(key, value);
                self.take(",");
            }
        } else if let Some(value) = self.scope.names.get(name) {
            return Ok(value.clone());
        }
        let template =
            self.scope.templates.get(name).ok_or_else(|| format!("no template is called {name:?}"))?;
        let scope = Scope { templates: self.scope.templates, names };
        scope.render_at(template, self.depth + 1).map(Term::Text)
    }

    fn atom_of_sign(&mut self, nested: usize) -> Result<Term, String> {
        if nested > MAX_DEPTH {
            return Err("too many signs".to_owned());
        }
        self.atom(nested + 1)
    }
}

fn numbers(a: Term, b: Term, apply: fn(i64, i64) -> Option<i64>) -> Result<Term, String> {
    let whole = |t: &Term| match t {
        Term::Number(n) => Ok(*n),
        Term::Text(t) => t.trim().parse().map_err(|_| format!("{t:?} is no number")),
    };
    let result = apply(whole(&a)?, whole(&b)?);
    result.map(Term::Number).ok_or_else(|| "a number that is too large, or a division by nothing".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str) -> Result<String, String> {
        let templates = [("u", "data/one.nc"), ("f", "data/{{c}}.nc"), ("a", "{{b}}{{b}}"), ("b", "{{a}}")];
        let templates = templates.map(|(n, t)| (n.to_owned(), t.to_owned())).into();
        let names = [("i".to_owned(), Term::Number(3))].into();
        Scope { templates: &templates, names }.render(text)
    }

    #[test]
    fn templates_mean_what_fsspec_makes_of_them() {
        assert_eq!(render("plain.nc").as_deref(), Ok("plain.nc"));
        assert_eq!(render("{{u}}").as_deref(), Ok("data/one.nc"));
        assert_eq!(render("x/{{f(c='text')}}?").as_deref(), Ok("x/data/text.nc?"));
        assert_eq!(render("{{ (i + 1) * 1000 - -2 }}").as_deref(), Ok("4002"));
        assert_eq!(render("{{ f(c=i*2) }}").as_deref(), Ok("data/6.nc"));
    }

    #[test]
    fn what_never_ends_is_refused() {
        assert!(render("{{a}}").unwrap_err().contains("deep"));
        assert!(render(&format!("{{{{{}1}}}}", "(".repeat(5000))).is_err());
        assert!(render(&format!("{{{{{}1}}}}", "-".repeat(5000))).is_err());
        for bad in ["{{nobody}}", "{{u", "{{ 1 // 0 }}", "{{ 9223372036854775807 * 2 }}", "{{ i i }}", "{{}}"]
        {
            assert!(render(bad).is_err(), "{bad}");
        }
    }
}
