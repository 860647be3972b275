//! Formulas over variables: band math, and masks by flag.
//!
//! `sqrt(u10^2 + v10^2)`, `where(flag(quality, 'cloud'), nan, sst)`, `(nir - red) / (nir + red)`. No value
//! anywhere makes no value; a truth is 1 or 0. Text is bounded before it is read, and so is what
//! it nests.

use std::collections::BTreeMap;

/// Bytes of text, operations, and how deep they nest.
const LONGEST: usize = 4096;
const MOST_STEPS: usize = 1000;
const DEEPEST: usize = 96;
/// Elements that are worked on together: buffers stay in the cache.
const AT_ONCE: usize = 512;

/// A test of a variable's flags (CF section 3.5).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flag {
    /// Bits that are looked at; all of them where none are named.
    pub mask: Option<i64>,
    pub value: f64,
}

impl Flag {
    fn test(&self, v: f64) -> f64 {
        if v.is_nan() {
            return f64::NAN;
        }
        let held = match self.mask {
            Some(mask) => (v as i64 & mask) == self.value as i64,
            None => v == self.value,
        };
        f64::from(u8::from(held))
    }
}

#[derive(Debug, Clone)]
enum Step {
    Number(f64),
    Variable(usize),
    /// Of a variable: which, and which test.
    Flag(usize, usize),
    Unary(fn(f64) -> f64),
    Binary(fn(f64, f64) -> f64),
    /// Condition, then, else.
    Where,
}

/// A formula, read.
#[derive(Debug, Clone)]
pub struct Formula {
    /// In the order of evaluation, on a stack.
    steps: Vec<Step>,
    names: Vec<String>,
    /// What a flag is asked of and which; and once bound, its test.
    flags: Vec<(usize, String, Option<Flag>)>,
    height: usize,
}

type Unary = fn(f64) -> f64;
type Binary = fn(f64, f64) -> f64;

fn truth(t: bool) -> f64 {
    f64::from(u8::from(t))
}

fn negation(v: f64) -> f64 {
    if v.is_nan() { v } else { truth(v == 0.0) }
}

/// NaN where either is, else what `f` says.
macro_rules! known {
    ($f:expr) => {
        |a: f64, b: f64| if a.is_nan() || b.is_nan() { f64::NAN } else { $f(a, b) }
    };
}

fn unary(name: &str) -> Option<Unary> {
    Some(match name {
        "abs" => f64::abs,
        "sqrt" => f64::sqrt,
        "exp" => f64::exp,
        "ln" => f64::ln,
        "log10" => f64::log10,
        "sin" => f64::sin,
        "cos" => f64::cos,
        "tan" => f64::tan,
        "asin" => f64::asin,
        "acos" => f64::acos,
        "atan" => f64::atan,
        "floor" => f64::floor,
        "ceil" => f64::ceil,
        "round" => f64::round_ties_even,
        "radians" => f64::to_radians,
        "degrees" => f64::to_degrees,
        "missing" => |v: f64| truth(v.is_nan()),
        _ => return None,
    })
}

fn binary(name: &str) -> Option<Binary> {
    Some(match name {
        "atan2" => f64::atan2,
        "hypot" => known!(f64::hypot),
        "min" => known!(f64::min),
        "max" => known!(f64::max),
        _ => return None,
    })
}

const FUNCTIONS: &str = "abs, sqrt, exp, ln, log10, sin, cos, tan, asin, acos, atan, atan2, hypot, floor, ceil, round, radians, degrees, min, max, missing, where, flag";

impl Formula {
    /// # Errors
    /// What is wrong, where, and what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("a formula of {} bytes, of at most {LONGEST}", text.len()));
        }
        let mut p = Parser {
            text,
            at: 0,
            depth: 0,
            out: Self { steps: Vec::new(), names: Vec::new(), flags: Vec::new(), height: 0 },
        };
        p.or()?;
        p.space();
        if p.at < text.len() {
            return Err(p.wrong("the end, or an operator"));
        }
        let mut out = p.out;
        let mut stack = 0usize;
        for step in &out.steps {
            stack = match step {
                Step::Number(_) | Step::Variable(_) | Step::Flag(..) => stack + 1,
                Step::Unary(_) => stack,
                Step::Binary(_) => stack.saturating_sub(1),
                Step::Where => stack.saturating_sub(2),
            };
            out.height = out.height.max(stack);
        }
        Ok(out)
    }

    /// Variables that it reads, each once, in the order of [`Formula::evaluate`]'s inputs.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Finds what the flags mean that it asks for: by variable and meaning.
    ///
    /// # Errors
    /// What `find` says of a flag that there is not.
    pub fn bind(mut self, find: impl Fn(&str, &str) -> Result<Flag, String>) -> Result<Self, String> {
        for (variable, meaning, flag) in &mut self.flags {
            let name = self.names.get(*variable).map_or("", String::as_str);
            *flag = Some(find(name, meaning)?);
        }
        Ok(self)
    }

    /// The values of `out.len()` elements; a variable with fewer of them has none for the rest.
    pub fn evaluate(&self, inputs: &[&[f64]], out: &mut [f64]) {
        let mut stack = vec![[0.0; AT_ONCE]; self.height.max(1)];
        for (block, out) in out.chunks_mut(AT_ONCE).enumerate() {
            let from = block * AT_ONCE;
            let n = out.len();
            let input = |i: &usize, to: &mut [f64; AT_ONCE]| {
                let values = inputs.get(*i).and_then(|v| v.get(from..)).unwrap_or_default();
                let there = values.len().min(n);
                to[..there].copy_from_slice(&values[..there]);
                to[there..n].fill(f64::NAN);
            };
            let mut top = 0;
            for step in &self.steps {
                match step {
                    Step::Number(v) => {
                        stack[top][..n].fill(*v);
                        top += 1;
                    }
                    Step::Variable(i) => {
                        input(i, &mut stack[top]);
                        top += 1;
                    }
                    Step::Flag(i, f) => {
                        input(i, &mut stack[top]);
                        let flag = self.flags.get(*f).and_then(|f| f.2);
                        stack[top][..n].iter_mut().for_each(|v| *v = flag.map_or(f64::NAN, |f| f.test(*v)));
                        top += 1;
                    }
                    Step::Unary(f) => stack[top - 1][..n].iter_mut().for_each(|v| *v = f(*v)),
                    Step::Binary(f) => {
                        let (low, high) = stack.split_at_mut(top - 1);
                        low[top - 2][..n].iter_mut().zip(&high[0]).for_each(|(a, b)| *a = f(*a, *b));
                        top -= 1;
                    }
                    Step::Where => {
                        let (low, high) = stack.split_at_mut(top - 2);
                        let (then, otherwise) = (&high[0], &high[1]);
                        for (i, c) in low[top - 3][..n].iter_mut().enumerate() {
                            *c = match *c {
                                c if c.is_nan() => f64::NAN,
                                0.0 => otherwise[i],
                                _ => then[i],
                            };
                        }
                        top -= 2;
                    }
                }
            }
            out.copy_from_slice(&stack[0][..n]);
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    out: Formula,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn wrong(&self, expected: &str) -> String {
        let found: String = self.rest().chars().take(12).collect();
        let found = if found.is_empty() { "the end".to_owned() } else { format!("{found:?}") };
        format!("column {}: expected {expected}, found {found}", self.text[..self.at].chars().count() + 1)
    }

    fn take(&mut self, sign: &str) -> bool {
        self.space();
        let there = self.rest().starts_with(sign);
        if there {
            self.at += sign.len();
        }
        there
    }

    fn word(&mut self, word: &str) -> bool {
        self.space();
        let rest = self.rest();
        let ends = |c: char| !(c.is_alphanumeric() || c == '_');
        let there = rest.strip_prefix(word).is_some_and(|r| r.is_empty() || r.starts_with(ends));
        if there {
            self.at += word.len();
        }
        there
    }

    fn push(&mut self, step: Step) -> Result<(), String> {
        if self.out.steps.len() >= MOST_STEPS {
            return Err(format!("more than {MOST_STEPS} operations"));
        }
        self.out.steps.push(step);
        Ok(())
    }

    fn deeper(&mut self, read: impl FnOnce(&mut Self) -> Result<(), String>) -> Result<(), String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("nested more than {DEEPEST} deep"));
        }
        let done = read(self);
        self.depth -= 1;
        done
    }

    fn or(&mut self) -> Result<(), String> {
        self.and()?;
        while self.take("||") || self.word("or") {
            self.and()?;
            self.push(Step::Binary(known!(|a, b| truth(a != 0.0 || b != 0.0))))?;
        }
        Ok(())
    }

    fn and(&mut self) -> Result<(), String> {
        self.not()?;
        while self.take("&&") || self.word("and") {
            self.not()?;
            self.push(Step::Binary(known!(|a, b| truth(a != 0.0 && b != 0.0))))?;
        }
        Ok(())
    }

    /// `not a == b` is of the comparison, `!a == b` of `a`.
    fn not(&mut self) -> Result<(), String> {
        if !self.word("not") {
            return self.compared();
        }
        self.deeper(Self::not)?;
        self.push(Step::Unary(negation))
    }

    fn compared(&mut self) -> Result<(), String> {
        self.sum()?;
        let signs: [(&str, Binary); 6] = [
            ("<=", known!(|a, b| truth(a <= b))),
            (">=", known!(|a, b| truth(a >= b))),
            ("==", known!(|a, b| truth(a == b))),
            ("!=", known!(|a, b| truth(a != b))),
            ("<", known!(|a, b| truth(a < b))),
            (">", known!(|a, b| truth(a > b))),
        ];
        if let Some((_, f)) = signs.into_iter().find(|(sign, _)| self.take(sign)) {
            self.sum()?;
            self.push(Step::Binary(f))?;
        }
        Ok(())
    }

    fn sum(&mut self) -> Result<(), String> {
        self.product()?;
        loop {
            let f: Binary = if self.take("+") {
                |a, b| a + b
            } else if self.take("-") {
                |a, b| a - b
            } else {
                return Ok(());
            };
            self.product()?;
            self.push(Step::Binary(f))?;
        }
    }

    fn product(&mut self) -> Result<(), String> {
        self.signed()?;
        loop {
            // `**` is a power.
            let f: Binary = if !self.rest().trim_start().starts_with("**") && self.take("*") {
                |a, b| a * b
            } else if self.take("/") {
                |a, b| a / b
            } else if self.take("%") {
                |a, b| a - b * (a / b).floor()
            } else {
                return Ok(());
            };
            self.signed()?;
            self.push(Step::Binary(f))?;
        }
    }

    fn signed(&mut self) -> Result<(), String> {
        self.deeper(|p| {
            if p.take("-") {
                p.signed()?;
                return p.push(Step::Unary(|v| -v));
            }
            if !p.rest().trim_start().starts_with("!=") && p.take("!") {
                p.signed()?;
                return p.push(Step::Unary(negation));
            }
            p.take("+");
            p.power()
        })
    }

    fn power(&mut self) -> Result<(), String> {
        self.atom()?;
        if self.take("^") || self.take("**") {
            self.signed()?;
            // 1 to the power of no value is none (IEEE 754 says 1).
            self.push(Step::Binary(known!(f64::powf)))?;
        }
        Ok(())
    }

    fn atom(&mut self) -> Result<(), String> {
        self.space();
        if self.take("(") {
            self.deeper(Self::or)?;
            return if self.take(")") { Ok(()) } else { Err(self.wrong("\")\"")) };
        }
        let first = self.rest().chars().next();
        match first {
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some('`') => {
                let name = self.quoted('`')?;
                self.variable(name)
            }
            Some(c) if c.is_alphabetic() || c == '_' => {
                let start = self.at;
                let name = self.name();
                if self.take("(") {
                    return self.deeper(|p| p.call(&name, start));
                }
                match name.to_ascii_lowercase().as_str() {
                    "nan" => self.push(Step::Number(f64::NAN)),
                    "pi" => self.push(Step::Number(std::f64::consts::PI)),
                    _ => self.variable(name),
                }
            }
            _ => Err(self.wrong("a number, a variable, a function or \"(\"")),
        }
    }

    fn number(&mut self) -> Result<(), String> {
        let rest = self.rest();
        let mut end = 0;
        let bytes = rest.as_bytes();
        while let Some(b) = bytes.get(end) {
            let exponent = end > 0 && matches!(bytes[end - 1], b'e' | b'E');
            let more = b.is_ascii_digit()
                || matches!(b, b'.' | b'e' | b'E')
                || (exponent && matches!(b, b'+' | b'-'));
            if !more {
                break;
            }
            end += 1;
        }
        let value: f64 = rest[..end].parse().map_err(|_| self.wrong("a number"))?;
        self.at += end;
        self.push(Step::Number(value))
    }

    /// Letters, digits, `_`, and `.` and `/` within.
    fn name(&mut self) -> String {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.'))).unwrap_or(rest.len());
        let name = rest[..end].to_owned();
        self.at += end;
        name
    }

    fn quoted(&mut self, quote: char) -> Result<String, String> {
        let inside = &self.rest()[quote.len_utf8()..];
        let end = inside.find(quote).ok_or_else(|| self.wrong(&format!("a name that ends with {quote}")))?;
        let name = inside[..end].to_owned();
        self.at += end + 2 * quote.len_utf8();
        Ok(name)
    }

    fn known(&mut self, name: String) -> usize {
        match self.out.names.iter().position(|n| *n == name) {
            Some(i) => i,
            None => {
                self.out.names.push(name);
                self.out.names.len() - 1
            }
        }
    }

    fn variable(&mut self, name: String) -> Result<(), String> {
        let i = self.known(name);
        self.push(Step::Variable(i))
    }

    fn call(&mut self, name: &str, start: usize) -> Result<(), String> {
        if name == "flag" {
            self.space();
            let variable = if self.rest().starts_with('`') { self.quoted('`')? } else { self.name() };
            let comma = self.take(",");
            self.space();
            let quote = self.rest().chars().next().filter(|c| matches!(c, '\'' | '"'));
            let (true, Some(quote)) = (comma && !variable.is_empty(), quote) else {
                return Err(self.wrong("flag(VARIABLE, 'MEANING')"));
            };
            let meaning = self.quoted(quote)?;
            if !self.take(")") {
                return Err(self.wrong("\")\""));
            }
            let i = self.known(variable);
            self.out.flags.push((i, meaning, None));
            let f = self.out.flags.len() - 1;
            return self.push(Step::Flag(i, f));
        }
        let two = binary(name);
        let mut count = 0;
        loop {
            self.or()?;
            count += 1;
            // Of three and more the least is found pair by pair.
            if let (Some(f), true) = (two, count > 1) {
                self.push(Step::Binary(f))?;
            }
            if !self.take(",") {
                break;
            }
        }
        if !self.take(")") {
            return Err(self.wrong("\",\" or \")\""));
        }
        let takes = |n: &str| Err(format!("{name}() takes {n}, not {count}"));
        match (name, unary(name), two) {
            ("where", ..) if count == 3 => self.push(Step::Where),
            ("where", ..) => takes("a condition and two values"),
            (_, Some(f), _) if count == 1 => self.push(Step::Unary(f)),
            (_, Some(_), _) => takes("one value"),
            ("min" | "max", _, Some(_)) if count >= 2 => Ok(()),
            ("min" | "max", _, Some(_)) => takes("two values or more"),
            (_, _, Some(_)) if count == 2 => Ok(()),
            (_, _, Some(_)) => takes("two values"),
            _ => {
                self.at = start;
                Err(self.wrong(&format!("a function that there is ({FUNCTIONS})")))
            }
        }
    }
}

/// Meanings of a variable's flags (CF section 3.5), by its attributes.
///
/// # Errors
/// No such meaning, and which there are.
pub fn flag_of(
    attributes: &serde_json::Map<String, serde_json::Value>,
    variable: &str,
    meaning: &str,
) -> Result<Flag, String> {
    let numbers = |key: &str| -> Vec<f64> {
        match attributes.get(key) {
            Some(serde_json::Value::Array(list)) => {
                list.iter().filter_map(serde_json::Value::as_f64).collect()
            }
            Some(one) => one.as_f64().into_iter().collect(),
            None => Vec::new(),
        }
    };
    let (values, masks) = (numbers("flag_values"), numbers("flag_masks"));
    let text = attributes.get("flag_meanings").and_then(serde_json::Value::as_str).unwrap_or_default();
    let all: BTreeMap<&str, usize> = text.split_whitespace().enumerate().map(|(i, m)| (m, i)).collect();
    let found = all.get(meaning).map(|i| (values.get(*i).copied(), masks.get(*i).copied()));
    match found {
        Some((Some(value), mask)) => Ok(Flag { mask: mask.map(|m| m as i64), value }),
        Some((None, Some(mask))) => Ok(Flag { mask: Some(mask as i64), value: mask }),
        _ if all.is_empty() => Err(format!("{variable} has no flag_meanings")),
        _ => {
            let there = text.split_whitespace().collect::<Vec<_>>().join(", ");
            Err(format!("{variable} has no flag {meaning:?}; there are {there}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, inputs: &[&[f64]]) -> Vec<f64> {
        let n = inputs.first().map_or(1, |v| v.len());
        let mut out = vec![0.0; n];
        Formula::parse(text).unwrap().evaluate(inputs, &mut out);
        out
    }

    fn one(text: &str) -> f64 {
        of(text, &[])[0]
    }

    #[test]
    fn operators_bind_as_they_do_on_paper() {
        for (text, value) in [
            ("1 + 2 * 3", 7.0),
            ("(1 + 2) * 3", 9.0),
            ("-2^2", -4.0),
            ("2^3^2", 512.0),
            ("2**-1", 0.5),
            ("7 - 2 - 1", 4.0),
            ("8 / 4 / 2", 1.0),
            ("-7 % 3", 2.0),
            ("5 % -3", -1.0),
            ("1 < 2 and not 3 == 4", 1.0),
            ("0 || 0 && 1", 0.0),
            ("!0 != 0", 1.0),
            ("min(3, 1, 2) + max(1, 5)", 6.0),
            ("where(1 > 2, 10, 20)", 20.0),
            ("hypot(3, 4) * 1e-1", 0.5),
            ("round(2.5) + floor(-0.5)", 1.0),
            ("degrees(pi)", 180.0),
        ] {
            assert!((one(text) - value).abs() < 1e-12, "{text}: {}", one(text));
        }
    }

    #[test]
    fn no_value_makes_no_value_and_can_be_asked_for() {
        for text in
            ["nan + 1", "nan < 1", "not nan", "min(nan, 1)", "where(nan, 1, 2)", "nan^0", "hypot(nan, 1)"]
        {
            assert!(one(text).is_nan(), "{text}");
        }
        assert_eq!(one("where(missing(nan), 1, 2)"), 1.0);
        assert_eq!(of("where(a > 1, nan, a)", &[&[1.0, 2.0]])[0], 1.0);
    }

    #[test]
    fn variables_are_read_through_blocks_of_any_length() {
        let a: Vec<f64> = (0..1300).map(f64::from).collect();
        let b: Vec<f64> = a.iter().map(|v| v * 2.0).collect();
        let f = Formula::parse("(b - a) / (b + a) + `a` - a").unwrap();
        assert_eq!(f.names(), ["b", "a"]);
        let got = of("(b - a) / (b + a)", &[&b, &a]);
        assert!(got[0].is_nan() && got[1..].iter().all(|v| (v - 1.0 / 3.0).abs() < 1e-12));
    }

    #[test]
    fn flags_are_tested_by_value_by_mask_and_by_both() {
        let attributes = |text: &str| serde_json::from_str(text).unwrap();
        let both =
            attributes(r#"{"flag_meanings":"clear cloud ice","flag_masks":[3,3,4],"flag_values":[0,2,4]}"#);
        let masks = attributes(r#"{"flag_meanings":"a b","flag_masks":[1,6]}"#);
        assert_eq!(flag_of(&both, "q", "cloud").unwrap(), Flag { mask: Some(3), value: 2.0 });
        assert_eq!(flag_of(&masks, "q", "b").unwrap(), Flag { mask: Some(6), value: 6.0 });
        assert!(flag_of(&masks, "q", "c").unwrap_err().contains("there are a, b"));
        let f = Formula::parse("where(flag(q, 'cloud'), nan, v)")
            .unwrap()
            .bind(|v, m| flag_of(&both, v, m))
            .unwrap();
        assert_eq!(f.names(), ["q", "v"]);
        let mut out = [0.0; 3];
        f.evaluate(&[&[2.0, 6.0, 1.0], &[10.0, 20.0, 30.0]], &mut out);
        assert!(out[0].is_nan() && out[1].is_nan() && out[2] == 30.0);
    }

    #[test]
    fn what_is_no_formula_is_refused_with_its_column() {
        for (text, says) in [
            ("", "column 1"),
            ("1 +", "column 4"),
            ("a b", "column 3"),
            ("sqr(2)", "a function that there is"),
            ("sqrt(1, 2)", "takes one value"),
            ("where(1, 2)", "a condition and two values"),
            ("(1", "\")\""),
            ("flag(q)", "flag(VARIABLE"),
            ("1..2", "a number"),
            ("`a", "ends with"),
        ] {
            let why = Formula::parse(text).unwrap_err();
            assert!(why.contains(says), "{text}: {why}");
        }
        assert!(Formula::parse(&"(".repeat(4000)).unwrap_err().contains("deep"));
        assert!(Formula::parse(&"-".repeat(4000)).unwrap_err().contains("deep"));
        assert!(Formula::parse(&"1+".repeat(2000)).unwrap_err().contains("operations"));
        assert!(Formula::parse(&"2^".repeat(2000)).unwrap_err().contains("deep"));
    }
}
