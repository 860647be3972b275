//! CQL2 text, by recursive descent: nothing is read twice, however deeply it is nested.

use super::cql2::{Arithmetic, Comparison, Expr, Scalar, Span, Spatial, Temporal, comparable};
use super::geometry::Shape;
use super::instants;
use super::properties::{Kind, Queryables, cut};
use super::tokens::{Token, tokens};
use super::wkt::wkt_kind;
use super::{MAX_DEPTH, MAX_LISTED, MAX_OPERATORS, MAX_TEXT};

/// # Errors
/// Where the text cannot be understood, and what was expected there.
pub fn parse(of: &'static Queryables, text: &str) -> Result<Expr, String> {
    if text.len() > MAX_TEXT {
        return Err(format!("the filter has {} bytes; at most {MAX_TEXT} are read", text.len()));
    }
    let mut p = Parser { of, tokens: tokens(text)?, at: 0, depth: 0, operators: 0 };
    let expr = p.either()?.condition(&p)?;
    if *p.peek() != Token::End {
        return Err(p.expected("AND, OR or the end"));
    }
    Ok(expr)
}

/// What an opening bracket may turn out to hold.
enum Either {
    Condition(Expr),
    Value(Scalar),
    Shape(Shape),
    Span(Span),
}

impl Either {
    fn condition(self, p: &Parser) -> Result<Expr, String> {
        match self {
            Self::Condition(e) => Ok(e),
            Self::Value(Scalar::Bool(b)) => Ok(Expr::Is(b)),
            Self::Value(Scalar::Property(q)) if q.kind == Kind::Bool => {
                Ok(Expr::Compare(Comparison::Equal, Scalar::Property(q), Scalar::Bool(true)))
            }
            _ => Err(p.expected("a comparison")),
        }
    }

    fn value(self, p: &Parser) -> Result<Scalar, String> {
        match self {
            Self::Value(v) => Ok(v),
            _ => Err(p.expected("a property, a text, a number or an instant")),
        }
    }
}

pub(super) struct Parser {
    of: &'static Queryables,
    tokens: Vec<(Token, usize)>,
    pub(super) at: usize,
    pub(super) depth: usize,
    operators: usize,
}

impl Parser {
    pub(super) fn peek(&self) -> &Token {
        self.tokens.get(self.at).map_or(&Token::End, |t| &t.0)
    }

    pub(super) fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    pub(super) fn expected(&self, what: &str) -> String {
        let place = self.tokens.get(self.at.min(self.tokens.len() - 1)).map_or(0, |t| t.1);
        let found = match self.peek() {
            Token::End => "the end".to_owned(),
            Token::Word(w) | Token::Quoted(w) | Token::Text(w) => format!("{:?}", cut(w)),
            Token::Number(n) => n.to_string(),
            Token::Sign(s) => format!("{s:?}"),
        };
        format!("at character {}: expected {what}, found {found}", place + 1)
    }

    pub(super) fn takes(&mut self, sign: &str) -> bool {
        let there = matches!(self.peek(), Token::Sign(s) if *s == sign);
        self.at += usize::from(there);
        there
    }

    pub(super) fn demands(&mut self, sign: &str) -> Result<(), String> {
        if self.takes(sign) { Ok(()) } else { Err(self.expected(&format!("{sign:?}"))) }
    }

    pub(super) fn keyword(&mut self, word: &str) -> bool {
        let there = matches!(self.peek(), Token::Word(w) if w.eq_ignore_ascii_case(word));
        self.at += usize::from(there);
        there
    }

    fn either(&mut self) -> Result<Either, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} brackets within each other"));
        }
        let out = self.any_of();
        self.depth -= 1;
        out
    }

    fn any_of(&mut self) -> Result<Either, String> {
        let first = self.all_of()?;
        if !matches!(self.peek(), Token::Word(w) if w.eq_ignore_ascii_case("or")) {
            return Ok(first);
        }
        let mut list = vec![first.condition(self)?];
        while self.keyword("or") {
            list.push(self.all_of()?.condition(self)?);
        }
        Ok(Either::Condition(Expr::Or(list)))
    }

    fn all_of(&mut self) -> Result<Either, String> {
        let first = self.negated()?;
        if !matches!(self.peek(), Token::Word(w) if w.eq_ignore_ascii_case("and")) {
            return Ok(first);
        }
        let mut list = vec![first.condition(self)?];
        while self.keyword("and") {
            list.push(self.negated()?.condition(self)?);
        }
        Ok(Either::Condition(Expr::And(list)))
    }

    fn negated(&mut self) -> Result<Either, String> {
        let mut not = false;
        let mut any = false;
        while self.keyword("not") {
            (not, any) = (!not, true);
        }
        let inner = self.predicate()?;
        if !any {
            return Ok(inner);
        }
        let inner = inner.condition(self)?;
        Ok(Either::Condition(if not { Expr::Not(Box::new(inner)) } else { inner }))
    }

    fn predicate(&mut self) -> Result<Either, String> {
        let left = self.sum()?;
        if let Token::Sign(sign) = *self.peek()
            && let Some(op) = Comparison::parse(sign)
        {
            let left = left.value(self)?;
            self.at += 1;
            let right = self.sum()?.value(self)?;
            let (a, b) = comparable(left, right)?;
            return Ok(Either::Condition(Expr::Compare(op, a, b)));
        }
        if self.keyword("is") {
            let not = self.keyword("not");
            let left = left.value(self)?;
            if !self.keyword("null") {
                return Err(self.expected("NULL"));
            }
            return Ok(Either::Condition(negate(not, Expr::IsNull(left))));
        }
        let before = self.at;
        let not = self.keyword("not");
        let condition = if self.keyword("like") {
            let left = left.value(self)?;
            let pattern = self.sum()?.value(self)?;
            if !left.may_be(Kind::Text) || !pattern.may_be(Kind::Text) {
                return Err("LIKE compares texts".to_owned());
            }
            Expr::Like(left, pattern)
        } else if self.keyword("between") {
            let left = left.value(self)?;
            let low = self.sum()?.value(self)?;
            if !self.keyword("and") {
                return Err(self.expected("AND"));
            }
            let high = self.sum()?.value(self)?;
            let (left, low) = comparable(left, low)?;
            let (left, high) = comparable(left, high)?;
            Expr::Between(left, low, high)
        } else if self.keyword("in") {
            let mut left = left.value(self)?;
            self.demands("(")?;
            let mut list = Vec::new();
            loop {
                let value = self.sum()?.value(self)?;
                let (a, b) = comparable(left, value)?;
                (left, _) = (a, list.push(b));
                if list.len() > MAX_LISTED {
                    return Err(format!("IN lists more than {MAX_LISTED} values"));
                }
                if !self.takes(",") {
                    break;
                }
            }
            self.demands(")")?;
            Expr::In(left, list)
        } else if not {
            self.at = before + 1;
            return Err(self.expected("LIKE, BETWEEN or IN"));
        } else {
            return Ok(left);
        };
        Ok(Either::Condition(negate(not, condition)))
    }

    fn sum(&mut self) -> Result<Either, String> {
        self.chain(&["+", "-"], Self::product)
    }

    fn product(&mut self) -> Result<Either, String> {
        self.chain(&["*", "/", "%", "div"], Self::power)
    }

    fn power(&mut self) -> Result<Either, String> {
        self.chain(&["^"], Self::signed)
    }

    fn chain(
        &mut self,
        signs: &[&str],
        part: fn(&mut Self) -> Result<Either, String>,
    ) -> Result<Either, String> {
        let mut left = part(self)?;
        loop {
            let sign = match self.peek() {
                Token::Sign(s) if signs.contains(s) => (*s).to_owned(),
                Token::Word(w) if w.eq_ignore_ascii_case("div") && signs.contains(&"div") => w.clone(),
                _ => return Ok(left),
            };
            let Some(op) = Arithmetic::parse(&sign) else { return Ok(left) };
            self.at += 1;
            self.operators += 1;
            if self.operators > MAX_OPERATORS {
                return Err(format!("the filter has more than {MAX_OPERATORS} arithmetic operators"));
            }
            let a = left.value(self)?;
            let b = part(self)?.value(self)?;
            if !a.may_be(Kind::Number) || !b.may_be(Kind::Number) {
                return Err(format!("{sign} is of numbers"));
            }
            left = Either::Value(Scalar::Arithmetic(op, Box::new(a), Box::new(b)));
        }
    }

    fn signed(&mut self) -> Result<Either, String> {
        let mut minus = false;
        while matches!(self.peek(), Token::Sign("-" | "+")) {
            minus ^= matches!(self.next(), Token::Sign("-"));
        }
        let value = self.atom()?;
        if !minus {
            return Ok(value);
        }
        Ok(Either::Value(match value.value(self)? {
            Scalar::Number(n) => Scalar::Number(-n),
            v if v.may_be(Kind::Number) => {
                Scalar::Arithmetic(Arithmetic::Subtract, Box::new(Scalar::Number(0.0)), Box::new(v))
            }
            _ => return Err("only a number has a sign".to_owned()),
        }))
    }

    fn atom(&mut self) -> Result<Either, String> {
        if self.takes("(") {
            let inner = self.either()?;
            self.demands(")")?;
            return Ok(inner);
        }
        match self.next() {
            Token::Number(n) => Ok(Either::Value(Scalar::Number(n))),
            Token::Text(t) => Ok(Either::Value(Scalar::Text(t))),
            Token::Quoted(name) => Ok(Either::Value(Scalar::Property(self.of.find(&name)?))),
            Token::Word(w) if w.eq_ignore_ascii_case("true") => Ok(Either::Value(Scalar::Bool(true))),
            Token::Word(w) if w.eq_ignore_ascii_case("false") => Ok(Either::Value(Scalar::Bool(false))),
            Token::Word(name) if matches!(self.peek(), Token::Sign("(")) || wkt_kind(&name).is_some() => {
                self.call(&name)
            }
            Token::Word(name) => Ok(Either::Value(Scalar::Property(self.of.find(&name)?))),
            _ => {
                self.at -= 1;
                Err(self.expected("a condition"))
            }
        }
    }

    fn call(&mut self, name: &str) -> Result<Either, String> {
        let lower = name.to_ascii_lowercase();
        if lower == "bbox" {
            self.demands("(")?;
            let mut n = Vec::new();
            while n.len() < 6 {
                n.push(self.number()?);
                if !self.takes(",") {
                    break;
                }
            }
            self.demands(")")?;
            let b = match *n.as_slice() {
                [w, s, e, n] | [w, s, _, e, n, _] if s <= n => [w, s, e, n],
                _ => return Err("BBOX has west, south, east, north".to_owned()),
            };
            return Ok(Either::Shape(Shape::of_box(b)));
        }
        if let Some(kind) = wkt_kind(name) {
            return Ok(Either::Shape(Shape::from_geojson(&self.wkt(kind)?)?));
        }
        self.demands("(")?;
        let out = match lower.as_str() {
            "casei" | "accenti" => {
                let inner = self.either()?.value(self)?;
                if !inner.may_be(Kind::Text) {
                    return Err(format!("{} is of texts", name.to_ascii_uppercase()));
                }
                if lower == "accenti" {
                    return Err("ACCENTI is not read here; CASEI is".to_owned());
                }
                Either::Value(Scalar::Folded(Box::new(inner)))
            }
            "date" | "timestamp" => {
                let Token::Text(t) = self.next() else {
                    self.at -= 1;
                    return Err(self.expected("a text in quotes"));
                };
                let at = if lower == "date" { instants::date(&t) } else { instants::instant(&t) };
                let at =
                    at.ok_or_else(|| format!("{:?} is no {lower} such as {}", cut(&t), sample(&lower)))?;
                Either::Value(Scalar::Time(at))
            }
            "interval" => {
                let from = self.end(f64::NEG_INFINITY)?;
                self.demands(",")?;
                Either::Span(Span(from, self.end(f64::INFINITY)?))
            }
            _ => {
                if let Some(op) = Spatial::parse(name) {
                    let a = self.either()?;
                    self.demands(",")?;
                    let b = self.either()?;
                    Either::Condition(spatial(op, place(a)?, place(b)?)?)
                } else if let Some(op) = Temporal::parse(name) {
                    let a = span(self.of, self.either()?)?;
                    self.demands(",")?;
                    Either::Condition(Expr::Temporal(op, a, span(self.of, self.either()?)?))
                } else {
                    return Err(format!(
                        "no function {:?}; there are S_INTERSECTS and the other spatial relations, T_INTERSECTS and the other temporal ones, CASEI, DATE, TIMESTAMP, INTERVAL and BBOX",
                        cut(name)
                    ));
                }
            }
        };
        self.demands(")")?;
        Ok(out)
    }

    /// An end of an interval.
    fn end(&mut self, open: f64) -> Result<Scalar, String> {
        if let Token::Text(t) = self.peek()
            && t == ".."
        {
            self.at += 1;
            return Ok(Scalar::Time(open));
        }
        moment(self.either()?.value(self)?)
    }
}

fn negate(not: bool, e: Expr) -> Expr {
    if not { Expr::Not(Box::new(e)) } else { e }
}

fn sample(kind: &str) -> &'static str {
    if kind == "date" { "2020-01-31" } else { "2020-01-31T12:00:00Z" }
}

/// `None` for the property geometry.
fn place(e: Either) -> Result<Option<Shape>, String> {
    match e {
        Either::Shape(s) => Ok(Some(s)),
        Either::Value(Scalar::Property(p)) if p.kind == Kind::Geometry => Ok(None),
        _ => Err("a spatial function is of the property geometry and a WKT geometry or BBOX".to_owned()),
    }
}

/// # Errors
/// Both are literals, or neither.
pub fn spatial(op: Spatial, a: Option<Shape>, b: Option<Shape>) -> Result<Expr, String> {
    match (a, b) {
        (None, Some(shape)) => Ok(Expr::Spatial(op, shape)),
        (Some(shape), None) => Ok(Expr::Spatial(op.turned(), shape)),
        (None, None) => Err("a spatial function needs a shape beside the property geometry".to_owned()),
        (Some(_), Some(_)) => {
            Err("a spatial function relates items to a shape; one of its sides must be a property, such as geometry"
                .to_owned())
        }
    }
}

fn span(of: &'static Queryables, e: Either) -> Result<Span, String> {
    match e {
        Either::Span(s) => Ok(s),
        Either::Value(v) => instant_span(of, v),
        _ => Err("a temporal function is of instants and intervals".to_owned()),
    }
}

/// # Errors
/// A value that is no instant.
pub fn instant_span(of: &'static Queryables, v: Scalar) -> Result<Span, String> {
    let at = moment(v)?;
    Ok(match at {
        // An item lasts from its first instant to its last.
        Scalar::Property(p) if p.name == "datetime" => {
            Span(at.clone(), of.find("end_datetime").map(Scalar::Property)?)
        }
        _ => Span(at.clone(), at),
    })
}

/// # Errors
/// A value that is no instant.
pub fn moment(v: Scalar) -> Result<Scalar, String> {
    match v {
        Scalar::Text(t) => instants::instant(&t)
            .or_else(|| instants::date(&t))
            .map(Scalar::Time)
            .ok_or_else(|| format!("{:?} is no instant such as 2020-01-31T12:00:00Z", cut(&t))),
        v if v.may_be(Kind::Time) => Ok(v),
        _ => Err("expected an instant".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::properties::ITEMS;
    use super::*;

    #[test]
    fn precedence_and_brackets_are_those_of_cql2() {
        let e = parse(&ITEMS, "id = 'a' OR version = 'b' AND NOT deprecated = true").unwrap();
        let Expr::Or(list) = e else { panic!("{e:?}") };
        assert!(matches!(&list[1], Expr::And(l) if matches!(l[1], Expr::Not(_))));
        assert_eq!(parse(&ITEMS, "((id = 'it''s'))").unwrap(), parse(&ITEMS, "id='it''s'").unwrap());
        let e = parse(&ITEMS, "(graticule:bytes + 1) * 2 > -3").unwrap();
        assert!(
            matches!(e, Expr::Compare(Comparison::Greater, Scalar::Arithmetic(Arithmetic::Multiply, ..), Scalar::Number(n)) if n == -3.0)
        );
    }

    #[test]
    fn every_kind_of_predicate_is_read() {
        for good in [
            "datetime >= TIMESTAMP('2020-01-01T00:00:00Z')",
            "datetime > '2020-01-01T00:00:00Z'",
            "datetime BETWEEN DATE('2020-01-01') AND DATE('2020-12-31')",
            "id LIKE 'a%' AND id NOT LIKE '%z'",
            "CASEI(id) LIKE CASEI('A%')",
            "graticule:bytes NOT BETWEEN 1 AND 2e3",
            "collection IN ('a', 'b') AND collection NOT IN ('c')",
            "end_datetime IS NULL AND id IS NOT NULL",
            "deprecated",
            "not deprecated",
            "\"graticule:bytes\" = 3",
            "properties.datetime < TIMESTAMP('2020-01-01T00:00:00Z')",
            "S_INTERSECTS(geometry, POLYGON((0 0, 1 0, 1 1, 0 0)))",
            "S_INTERSECTS(geometry, MULTIPOLYGON(((0 0, 1 0, 1 1, 0 0)), ((5 5, 6 5, 6 6, 5 5))))",
            "S_WITHIN(POINT(1 -2), geometry) OR S_DISJOINT(geometry, BBOX(-1,-2.5,3,4))",
            "S_INTERSECTS(geometry, MULTIPOINT(1 2, 3 4)) AND S_CROSSES(geometry, LINESTRING(0 0, 1 1))",
            "S_INTERSECTS(geometry, GEOMETRYCOLLECTION(POINT(1 2), LINESTRING(0 0, 1 1)))",
            "T_INTERSECTS(datetime, INTERVAL('2020-01-01T00:00:00Z', '..'))",
            "T_AFTER(datetime, DATE('2020-01-01')) and t_during(INTERVAL(start_datetime, end_datetime), INTERVAL('2019-01-01', '2021-01-01'))",
            "TRUE and not false",
            "eo:cloud_cover < 10 OR mission LIKE 'a%' OR CASEI(platform) = 'b' OR a + 1 = 2",
        ] {
            parse(&ITEMS, good).unwrap_or_else(|e| panic!("{good}: {e}"));
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_place() {
        for (bad, said) in [
            ("", "expected a condition, found the end"),
            ("id =", "expected a condition, found the end"),
            ("id = 'a' id", "at character 10: expected AND, OR or the end, found \"id\""),
            ("id = 'a", "the quote at character 6 has no end"),
            ("datetme = 'a'", "did you mean \"datetime\"?"),
            ("id = 1", "a text cannot be compared with a number"),
            ("datetime > 'yesterday'", "is no instant"),
            ("geometry = 'a'", "S_INTERSECTS"),
            ("S_INTERSECTS(POINT(1 2), BBOX(0,0,3,3))", "one of its sides must be a property"),
            ("S_INTERSECTS(geometry, POINT EMPTY)", "the geometry is empty; expected"),
            ("S_WITHIN(POLYGON Z EMPTY, geometry)", "the geometry is empty; expected"),
            (
                "S_INTERSECTS(geometry, GEOMETRYCOLLECTION(POINT(1 2), LINESTRING EMPTY))",
                "the geometry is empty",
            ),
            ("foo(id)", "no function \"foo\""),
            ("S_INTERSECTS(geometry, POLYGON((0 0, 1 1)))", "four positions"),
            ("id = 'a' AND", "expected a condition"),
            ("'a' + 'b' = id", "+ is of numbers"),
            ("id; DROP TABLE items", "';' at character 3"),
            ("1.2.3 = graticule:bytes", "is no number"),
            ("ACCENTI(id) = 'a'", "CASEI"),
        ] {
            let e = parse(&ITEMS, bad).expect_err(bad);
            assert!(e.contains(said), "{bad}: {e}");
        }
        let deep = format!("{}id = 'a'{}", "(".repeat(5000), ")".repeat(5000));
        assert!(parse(&ITEMS, &deep).unwrap_err().contains("brackets"));
        let deep = format!(
            "id = 'a' AND S_INTERSECTS(geometry, {}POINT(1 2){})",
            "GEOMETRYCOLLECTION(".repeat(300),
            ")".repeat(300)
        );
        assert!(parse(&ITEMS, &deep).is_err());
        assert!(parse(&ITEMS, &format!("{}deprecated", "NOT ".repeat(4001))).is_ok());
        assert!(parse(&ITEMS, &"a".repeat(20_000)).unwrap_err().contains("bytes"));
    }
}
