//! From text to steps.

use super::{Formula, Step};

/// Bytes of text, operations, and how deep they nest.
const LONGEST: usize = 4096;
const MOST_STEPS: usize = 1000;
const DEEPEST: usize = 96;
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

/// What a text says, not yet checked for what its steps leave on the stack.
///
/// # Errors
/// What is wrong, where, and what was expected.
pub(super) fn steps(text: &str) -> Result<Formula, String> {
    if text.len() > LONGEST {
        return Err(format!("a formula of {} bytes, of at most {LONGEST}", text.len()));
    }
    let mut p = Parser {
        text,
        at: 0,
        depth: 0,
        out: Formula { steps: Vec::new(), names: Vec::new(), flags: Vec::new(), height: 0 },
    };
    p.or()?;
    p.space();
    if p.at < text.len() {
        return Err(p.wrong("the end, or an operator"));
    }
    Ok(p.out)
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
